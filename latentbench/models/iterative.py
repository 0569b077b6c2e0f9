"""A base for families that infer a posterior through the decoder, in T steps: each step's posterior is the prior of the next.

The gradient of a step's loss passes through all steps before it (iterative VAEs: Vafaii, Galor & Yates 2025; predictive coding in time).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.measure import Measure
from latentbench.models.codes import Code, Posterior
from latentbench.models.family import Family, Inference
from latentbench.models.likelihood import Likelihood
from latentbench.models.objective import Loss, Step
from latentbench.part import Assembly, Options


class IterativeOptions(Options):
    """Options of every iterative family."""

    steps: int = Field(16, gt=0, description="Steps of inference T in training.")
    evaluation_steps: int = Field(100, gt=0, description="Steps of inference in evaluations.")


@dataclass(frozen=True)
class Iterate:
    """One step of inference: the posterior q_t and, at a sample of it, the likelihood's cost [B] and KL(q_t || q_{t-1}) [B, G], in nats."""

    posterior: Posterior
    reconstruction: Tensor
    kl: Tensor


class IteratedPosterior(Posterior):
    """The posterior q_T after T steps, with what the steps cost on the way: `reconstruction` and `step_kl` [T, B].

    Its KL is the mean over steps of KL(q_t || q_{t-1}), as the free energy has it. `path` holds q_0, q_1, ..., q_T in training, whose graph has them
    anyway, and nothing in evaluations.
    """

    def __init__(self, last: Posterior, reconstruction: Tensor, step_kl: Tensor, mean_kl: Tensor, path: Sequence[Posterior] = ()) -> None:
        self.last, self.reconstruction, self.step_kl, self.mean_kl, self.path = last, reconstruction, step_kl, mean_kl, path
        self.is_normal = last.is_normal

    @property
    def mean(self) -> Tensor:
        """Mean of q_T [B, K]."""
        return self.last.mean

    @property
    def variance(self) -> Tensor:
        """Variance of q_T [B, K]."""
        return self.last.variance

    @property
    def location(self) -> Tensor:
        """Location of q_T [B, K]."""
        return self.last.location

    @property
    def representation(self) -> Tensor:
        """What q_T gives readouts [B, F]."""
        return self.last.representation

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """A differentiable sample of q_T [B, K]."""
        return self.last.rsample(temperature, generator)

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """A relaxed sample of q_T and the true sample of the same noise [B, K]."""
        return self.last.relaxed_and_hard(temperature, generator)

    def sample(self, generator: Generator) -> Tensor:
        """A true sample of q_T [B, K]."""
        return self.last.sample(generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q_T(z) [B, G]."""
        return self.last.log_prob(z)

    def kl(self, generator: Generator) -> Tensor:
        """The mean over steps of KL(q_t || q_{t-1}) [B, G]."""
        return self.mean_kl

    def values(self, tail: float) -> Tensor | None:
        """Those of q_T."""
        return self.last.values(tail)

    def decoded_variance(self, dictionary: Tensor) -> Tensor:
        """That of q_T [B]."""
        return self.last.decoded_variance(dictionary)


class IterativeFamily(Family):
    """A posterior inferred in T steps through the decoder, without an encoder; it is its own objective.

    From q_0 = `prior`, step t draws x from q_{t-1}, takes the gradient in x of ln p(image | `activation`(x)), and `update` makes q_t of both. A
    second, independent draw from q_t is decoded for the cost. Training minimises the free energy, the mean over steps and images of
    -ln p(image | z_t) + beta KL(q_t || q_{t-1}), with the gradient through all steps; draws are relaxed at the temperature. Evaluations draw true
    samples, and hold one step at a time. Where samples of a posterior have passed an activation, `draw` and `activation` separate the two.
    """

    cost = "free_energy"
    measures = {
        "free_energy": Measure(
            "lower", "nats", "Reconstruction + divergence from the step before, a mean over the steps of inference.", less_constant=True, of_kl=True
        ),
        "path_reconstruction": Measure(
            "lower", "nats", "Negative log-likelihood less its constant, a mean over the steps of inference.", less_constant=True
        ),
        "path_kl": Measure(None, "nats", "Divergence of each step's posterior from that of the step before, a mean over the steps.", of_kl=True),
        "reconstruction": Measure("lower", "nats", "Expected negative log-likelihood of an image, less its constant.", less_constant=True),
        "prior_kl": Measure(None, "nats", "Divergence of the last posterior from the first prior, summed over latents.", of_kl=True),
    }
    has_posterior = True
    features = 0
    ignores = frozenset({"encoder*", "estimator*"})
    options_model: ClassVar[type[Options]] = IterativeOptions

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, IterativeOptions)
        self.steps, self.evaluation_steps = options.steps, options.evaluation_steps

    @abstractmethod
    def prior(self, batch: int) -> Posterior:
        """q_0, repeated `batch` times: where inference starts, and what `kl` of the first step is to. Its own KL is 0."""

    @abstractmethod
    def update(self, prior: Posterior, x: Tensor, gradient: Tensor, inference: Inference) -> Posterior:
        """q_t, from `prior` q_{t-1}, its draw x [B, K] and the gradient of ln p(image | x) [B, K]. Its `kl` is KL(q_t || q_{t-1}).

        Called T times an image batch; `inference.progress` is for limits that are annealed over the run.
        """

    def draw(self, posterior: Posterior, inference: Inference) -> Tensor:
        """What inference takes the gradient in [B, K]: in training a differentiable sample, else a true one."""
        if inference.temperature is None:
            return posterior.sample(inference.generator)
        return posterior.rsample(inference.temperature, inference.generator)

    def activation(self, x: Tensor) -> Tensor:
        """The code z [B, K] that is decoded for a draw x."""
        return x

    def state(self, posterior: Posterior) -> Tensor:
        """What steps of inference add to [B, S]; its updates show whether inference has settled. The location, unless the family overrides it."""
        return posterior.location

    def divergence(self, posterior: Posterior, prior: Posterior) -> Tensor | None:
        """KL(posterior || prior) of each latent [B, G] for any two posteriors of this family, in nats; None where there is no closed form.

        Called by evaluations, which report that of q_T from q_0 as `prior_kl`.
        """
        return None

    def infer(self, images: Tensor, inference: Inference, steps: int | None = None) -> Iterator[Iterate]:
        """The steps of inference, one after the other: evaluations keep those that they need.

        Args:
            images: [B, C, H, W].
            inference: what codes are inferred with.
            steps: how many; the family's `steps` in training and `evaluation_steps` elsewhere where it is None.
        """
        q = self.prior(len(images))
        for _ in range(steps or (self.steps if inference.training else self.evaluation_steps)):
            with torch.set_grad_enabled(inference.training):
                x = self.draw(q, inference)
                q = self.update(q, x, self._gradient(images, x, inference), inference)
                decoded = inference.decoder(self.activation(self.draw(q, inference)))
                iterate = Iterate(q, inference.likelihood.reconstruction(images, decoded), q.kl(inference.generator))
            yield iterate

    def encode(self, images: Tensor, inference: Inference) -> IteratedPosterior:
        """The posterior after all steps, and what each cost."""
        reconstruction, step_kl, total_kl = [], [], torch.zeros(())
        path = [self.prior(len(images))] if inference.training else []
        for iterate in self.infer(images, inference):
            last = iterate.posterior
            reconstruction.append(iterate.reconstruction)
            step_kl.append(iterate.kl.sum(1))
            total_kl = iterate.kl if len(step_kl) == 1 else total_kl + iterate.kl
            if inference.training:
                path.append(last)
        return IteratedPosterior(last, torch.stack(reconstruction), torch.stack(step_kl), total_kl / len(step_kl), path)

    def loss(self, step: Step) -> Loss:
        """The mean over steps and images of the likelihood's cost + beta KL(q_t || q_{t-1})."""
        code = _iterated(step.code)
        reconstruction, kl = code.reconstruction.mean(0), code.step_kl.mean(0)
        return Loss((reconstruction + step.beta * kl).mean(), {"path_reconstruction": reconstruction.detach(), "path_kl": kl.detach()})

    def costs(self, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None) -> Mapping[str, Tensor]:
        """The free energy at KL weight 1 and its two terms, means over the steps; the last step's cost and divergence from q_0."""
        code = _iterated(code)
        on_the_way, path_kl = code.reconstruction.mean(0), code.step_kl.mean(0)
        after = likelihood.reconstruction(images, decoded)
        costs = {"free_energy": on_the_way + path_kl, "path_reconstruction": on_the_way, "path_kl": path_kl, "reconstruction": after}
        whole = self.divergence(code.last, self.prior(len(images)))
        return costs if whole is None else {**costs, "prior_kl": whole.sum(1)}

    def _gradient(self, images: Tensor, x: Tensor, inference: Inference) -> Tensor:
        """The gradient in x of ln p(image | activation(x)) [B, K]; in training it is differentiable itself."""
        with torch.enable_grad():
            if not (inference.training and x.requires_grad):
                x = x.detach().requires_grad_()
            log_prob = inference.likelihood.log_prob(images, inference.decoder(self.activation(x))).sum()
            (gradient,) = torch.autograd.grad(log_prob, x, create_graph=inference.training)
        return gradient


def _iterated(code: Code) -> IteratedPosterior:
    assert isinstance(code, IteratedPosterior), "an iterative family encodes to iterated posteriors"
    return code
