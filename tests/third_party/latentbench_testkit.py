"""A third party's plugin, as one would write it: it proves that the contracts carry what the core does not have.

A locally competitive algorithm without tricks, REINFORCE with a trained baseline, a non-linear decoder, and a family out of torch.distributions.
"""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from torch import nn
from torch.distributions import Gamma, Normal, StudentT

from latentbench import hookimpl
from latentbench.api import (
    DataSet,
    Estimator,
    Evaluation,
    IterativeFamily,
    Loss,
    Measure,
    Metric,
    Network,
    Options,
    Outcome,
    PointCode,
    PointFamily,
    Split,
    Splits,
    Step,
    TorchFamily,
    TorchPosterior,
    dictionary_of,
    sha256_of,
    stream,
)
from latentbench.api.engines import Control, Engine, execute, load_registry

if "LATENTBENCH_TEST_FAKE_GPUS" in os.environ:
    import fake_gpus  # noqa: F401

if "LATENTBENCH_TEST_NODES" in os.environ:
    import fake_nodes  # noqa: F401

if "LATENTBENCH_TEST_SLOW_FORK_SERVER" in os.environ and b"forkserver" in Path("/proc/self/cmdline").read_bytes():
    time.sleep(float(os.environ["LATENTBENCH_TEST_SLOW_FORK_SERVER"]))


class LcaOptions(Options):
    l1_weight: float = 0.1
    iterations: int = 50


class BareLca(PointFamily):
    """Soft-threshold dynamics du/dt = (b - u - (Phi'Phi - 1) a) / tau of Rozell et al. 2008."""

    name = "test_lca"
    measures = {
        **PointFamily.measures,
        "squared_error": Measure(None, "squared pixel values", "Half the squared error."),
        "penalty": Measure(None, "nats", "L1 norm times its weight."),
    }
    options_model = LcaOptions

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.options = options

    def infer(self, images, dictionary):
        drive, gram = images @ dictionary, dictionary.T @ dictionary
        competition = gram - torch.eye(len(gram), dtype=gram.dtype)
        u = torch.zeros_like(drive)
        for _ in range(self.options.iterations):
            a = nn.functional.softshrink(u, self.options.l1_weight)
            u = u + 0.1 * (drive - u - a @ competition)
        return nn.functional.softshrink(u, self.options.l1_weight)

    def loss(self, step):
        z = step.code.mean
        error = 0.5 * step.reconstruction(z)
        return Loss(error.mean(), {"squared_error": error.detach(), "penalty": self.options.l1_weight * z.abs().sum(1)})

    def costs(self, images, code, z, decoded, likelihood, kl):
        error, penalty = 0.5 * likelihood.reconstruction(images, decoded), self.options.l1_weight * z.abs().sum(1)
        return {"sparse_coding_cost": error + penalty, "squared_error": error, "penalty": penalty}

    def constrain(self, decoder):
        dictionary, _ = dictionary_of(decoder)
        with torch.no_grad():
            dictionary /= dictionary.norm(dim=0)


class Reinforce(Estimator):
    """The score-function estimator of Williams 1992, with a learned baseline."""

    name = "test_reinforce"
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.baseline = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(assembly.data_shape), 1))

    def loss(self, step):
        z = step.sample()
        reconstruction, kl = step.reconstruction(z), step.kl()
        baseline = self.baseline(step.images).squeeze(1)
        advantage = (reconstruction - baseline).detach()
        score = advantage * step.log_q(z)
        surrogate = reconstruction + score + step.beta * kl + (reconstruction.detach() - baseline).square()
        return Loss(surrogate.mean(), {"reconstruction": reconstruction.detach(), "kl": kl.detach()})


class RlooOptions(Options):
    samples: int = 4


class Rloo(Estimator):
    """REINFORCE with several samples an image, each the baseline of the others (Kool et al. 2019)."""

    name = "test_rloo"
    options_model = RlooOptions
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.samples = options.samples

    def loss(self, step):
        z = step.sample(self.samples)  # [S, B, K]
        reconstruction, kl = step.reconstruction(z), step.kl()
        others = (reconstruction.sum(0) - reconstruction) / (self.samples - 1)
        score = (reconstruction - others).detach() * step.log_q(z)
        surrogate = (reconstruction + score).mean(0) + step.beta * kl
        return Loss(surrogate.mean(), {"reconstruction": reconstruction.mean(0).detach(), "kl": kl.detach()})


class TwoLayer(Network):
    """Two layers each way."""

    name = "test_mlp"

    def encoder(self, assembly, features, options):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(assembly.data_shape), 16), nn.SiLU(), nn.Linear(16, features))

    def decoder(self, assembly, options):
        pixels = math.prod(assembly.data_shape)
        return nn.Sequential(nn.Linear(assembly.latent_dim, 16), nn.SiLU(), nn.Linear(16, pixels), nn.Unflatten(1, assembly.data_shape))


class Dropping(Network):
    """An encoder that draws from torch's global state."""

    name = "test_dropout"

    def encoder(self, assembly, features, options):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(math.prod(assembly.data_shape), features))


class Faces(DataSet):
    """Ten smooth grey images of each of 40 people, as many and as large as those of the Olivetti set."""

    name = "test_faces"
    data_shape = (1, 64, 64)
    pixels = "unit"
    labelled = True
    defaults = {"likelihood": "gaussian"}

    def sources(self):
        return {"latentbench_testkit.py": sha256_of(Path(__file__))}

    def load(self, cache):
        generator = stream(0, "test_faces")
        person = torch.randn(40, 1, 8, 8, generator=generator).repeat(10, 1, 1, 1)
        pose = torch.randn(400, 1, 8, 8, generator=generator)
        images = nn.functional.interpolate(person + 0.3 * pose, size=64, mode="bilinear").sigmoid()
        labels = torch.arange(40).repeat(10)
        return Splits(Split(images[:320], labels[:320]), Split(images[320:], labels[320:]))


class Fragile(Evaluation):
    """An evaluation that fails while a file is there."""

    name = "test_fragile"
    metrics = {"fragile": Measure(None, "none", "Always 1.")}

    def evaluate(self, trained, generator):
        if Path(os.environ.get("LATENTBENCH_TEST_FRAGILE", "nowhere")).exists():
            raise RuntimeError("fragile")
        return Outcome([Metric("fragile", 1.0)])


class Lingering(Evaluation):
    """An evaluation that leaves a thread behind in the process of a run, and none in that of the tests."""

    name = "test_lingering"
    metrics = {"lingering": Measure(None, "none", "Always 1.")}

    def evaluate(self, trained, generator):
        threading.Thread(target=time.sleep, args=(1000,), daemon=multiprocessing.parent_process() is None).start()
        return Outcome([Metric("lingering", 1.0)])


class GradientsOptions(Options):
    estimators: list[str] = ["mc", "exact"]
    shares: list[float] = [0.0, 0.5, 1.0]
    options: dict[str, dict[str, str | int]] = {}


class Gradients(Evaluation):
    """How two estimators agree about the encoder's gradient on one batch, at shares of the training."""

    name = "test_gradients"
    options_model = GradientsOptions
    metrics = {"gradient_cosine": Measure("higher", "none", "Cosine of two estimators' gradients.", index="share")}

    def __init__(self, options):
        self.options = options

    @classmethod
    def checkpoints(cls, options):
        return tuple(options.shares)

    @classmethod
    def builds(cls, options):
        return tuple(("estimator", name) for name in options.estimators)

    def gradient(self, trained, name):
        model = trained.model
        estimator = trained.build("estimator", name, self.options.options.get(name, {}))
        images = trained.splits["train"].images[:50].to(model.device, model.dtype)
        noise = stream(trained.seed, "gradients", device=model.device)
        code = model.encode(images, noise)
        loss = estimator.loss(Step(images, code, model.family, model.decoder, model.likelihood, 1.0, 1.0, True, noise))
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss.surrogate, list(model.encoder.parameters()))])

    def evaluate(self, trained, generator):
        return Outcome([self.cosine(trained.at(share), share) for share in self.options.shares])

    def cosine(self, trained, share):
        one, other = (self.gradient(trained, name) for name in self.options.estimators)
        return Metric("gradient_cosine", float(nn.functional.cosine_similarity(one, other, dim=0)), "train").at("share", share)


class GammaFamily(TorchFamily):
    """Gamma latents with a Gamma(1, 1) prior, out of torch.distributions."""

    name = "test_gamma"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.register_buffer("one", torch.ones(self.latent_dim))

    def posterior_distribution(self, features):
        concentration, rate = (nn.functional.softplus(part) + 0.1 for part in features.chunk(2, dim=1))
        return Gamma(concentration, rate)

    def prior_distribution(self, batch):
        one = self.one.expand(batch, -1)
        return Gamma(one, one)


class StudentFamily(TorchFamily):
    """Student's t with a normal prior: no KL between them is known."""

    name = "test_student"
    estimated_kl = True

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.register_buffer("zero", torch.zeros(self.latent_dim))

    def posterior_distribution(self, features):
        loc, raw = features.chunk(2, dim=1)
        return StudentT(10.0, loc, raw.exp())

    def prior_distribution(self, batch):
        return Normal(self.zero.expand(batch, -1), 1.0)


class IterativeOfGaussians(IterativeFamily):
    """N(mu_t, s^2) with mu_t = mu + eta (gradient - (mu - mu_0)): it settles where gradient and N(mu_0, 1) balance."""

    name = "test_iterative"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.origin = nn.Parameter(torch.zeros(self.latent_dim))
        self.log_rate = nn.Parameter(torch.tensor(-4.0))
        self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def posterior(self, loc, before):
        return TorchPosterior(*(Normal(mean, self.log_scale.exp(), validate_args=False) for mean in (loc, before)))

    def prior(self, batch):
        loc = self.origin.expand(batch, -1)
        return self.posterior(loc, loc)

    def update(self, prior, x, gradient, inference):
        return self.posterior(prior.mean + self.log_rate.exp() * (gradient - prior.mean + self.origin), prior.mean)


class Diverging(TorchFamily):
    """A family whose loss is infinite at once."""

    name = "test_diverging"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = self.latent_dim
        self.register_buffer("one", torch.ones(self.latent_dim))

    def posterior_distribution(self, features):
        return Normal(features * float("inf"), 1.0, validate_args=False)

    def prior_distribution(self, batch):
        return Normal(self.one.expand(batch, -1), 1.0)


class Crashing(BareLca):
    """A family that kills its process."""

    name = "test_crashing"

    def infer(self, images, dictionary):
        os.kill(os.getpid(), signal.SIGKILL)
        return PointCode(images)


class Sleeping(BareLca):
    """A family that does not come back from its second step."""

    name = "test_sleeping"
    steps = 0

    def infer(self, images, dictionary):
        self.steps += 1
        if self.steps == 2:
            time.sleep(1000)
        return super().infer(images, dictionary)


class Inline(Engine):
    """Runs in this process, one after another."""

    name = "test_inline"
    device = "cpu"
    capacity = "one after another"

    def run(self, work):
        while (job := work.acquire()) is not None:
            work.watcher.started(job, "here")
            control = Control(report=lambda step, steps, job=job: work.renew(job), save_every=0.0)
            work.finished(job, execute(job, load_registry(), work.store, self.device, control))


class PilotOptions(Options):
    pilots: int = 2
    wait: bool = True


class Pilots(Engine):
    """Processes that are no children of the engine in spirit: each is a `latentbench worker`."""

    name = "test_pilots"
    device = "cpu"
    capacity = "by pilots"
    detached = True
    options_model = PilotOptions

    def run(self, work):
        command = [sys.executable, "-m", "latentbench", "worker", str(work.results), "--cpus", "1"]
        pilots = [subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) for _ in range(self.options.pilots)]
        if self.options.wait:
            work.follow(lambda: any(pilot.poll() is None for pilot in pilots))


@hookimpl
def register_families():
    return [BareLca, GammaFamily, StudentFamily, IterativeOfGaussians, Diverging, Crashing, Sleeping]


@hookimpl
def register_estimators():
    return [Reinforce, Rloo]


@hookimpl
def register_networks():
    return [TwoLayer, Dropping]


@hookimpl
def register_datasets():
    return [Faces]


@hookimpl
def register_evaluations():
    return [Fragile, Lingering, Gradients]


@hookimpl
def register_engines():
    return [Inline, Pilots]
