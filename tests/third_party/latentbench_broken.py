"""A plugin in which every part breaks one promise, so that its name says which; no rule about what a part declares is broken."""

import math
from dataclasses import replace

import torch
from torch import nn
from torch.distributions import Normal

from latentbench import hookimpl
from latentbench.api import (
    DataSet,
    Estimator,
    Evaluation,
    Likelihood,
    Loss,
    Measure,
    Metric,
    Network,
    Outcome,
    PerUnit,
    PointCode,
    PointFamily,
    Split,
    Splits,
    TorchFamily,
    TorchPosterior,
)


class Sound(TorchFamily):
    """A Gaussian family that keeps every promise."""

    name = "sound"
    code = TorchPosterior

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = self.latent_dim
        self.register_buffer("zero", torch.zeros(self.latent_dim))

    def posterior_distribution(self, features):
        return Normal(features, 1.0, validate_args=False)

    def prior_distribution(self, batch):
        return Normal(self.zero.expand(batch, -1), 1.0)

    def posterior(self, features):
        return self.code(self.posterior_distribution(features), self.prior_distribution(len(features)))


def family(label, base=Sound, **members):
    return type(f"{label.title().replace('_', '')}Family", (base,), {"name": label, "__module__": __name__, **members})


def posterior(label, **members):
    """A family whose posterior has other methods and properties."""
    return family(label, code=type("Code", (TorchPosterior,), members))


def scaled_costs(factor):
    return lambda self, *given: {name: factor(cost) for name, cost in Sound.costs(self, *given).items()}


class FlatPoint(PointFamily):
    """A sparse coder that infers one number an image."""

    name = "point_flat"
    cost = "sparse_coding_cost"

    def infer(self, images, dictionary):
        return (images @ dictionary).sum(1, keepdim=True)

    def loss(self, step):
        error = step.reconstruction(step.code.mean.expand(-1, self.latent_dim))
        return Loss(error.mean(), {"squared_error": error.detach()})

    def costs(self, images, code, z, decoded, likelihood, kl):
        return {"sparse_coding_cost": likelihood.reconstruction(images, decoded)}


FAMILIES = [
    Sound,
    FlatPoint,
    posterior("kl_summed", kl=lambda self, generator: TorchPosterior.kl(self, generator).sum(1)),
    posterior("kl_of_four", kl=lambda self, generator: TorchPosterior.kl(self, generator)[:, :4]),
    posterior("kl_nan", kl=lambda self, generator: TorchPosterior.kl(self, generator) * math.nan),
    posterior("kl_none", kl=lambda self, generator: None),
    posterior("mean_of_one", mean=property(lambda self: self.q.mean[:1])),
    posterior("location_flat", location=property(lambda self: self.q.mean.sum(1))),
    posterior("representation_flat", representation=property(lambda self: self.q.mean.sum(1))),
    posterior("variance_of_one", variance=property(lambda self: self.q.variance[:, :1])),
    posterior("variance_nan", variance=property(lambda self: self.q.variance * math.nan)),
    posterior("rsample_column", rsample=lambda self, temperature, generator: TorchPosterior.rsample(self, temperature, generator)[:1]),
    posterior("sample_counts", sample=lambda self, generator: TorchPosterior.sample(self, generator).long()),
    posterior("sample_nan", sample=lambda self, generator: TorchPosterior.sample(self, generator) * math.nan),
    posterior("log_prob_summed", log_prob=lambda self, z: TorchPosterior.log_prob(self, z).sum(1)),
    posterior("decoded_variance_column", decoded_variance=lambda self, dictionary: (self.variance @ dictionary.square().sum(0))[:, None]),
    posterior("mean_nan_later", mean=property(lambda self: self.q.mean * (1.0 if torch.is_grad_enabled() else math.nan))),
    family("posterior_tensor", posterior=lambda self, features: features),
    family("posterior_point", posterior=lambda self, features: PointCode(features)),
    family("prior_none", prior=lambda self, batch: None),
    family("prior_of_one", prior=lambda self, batch: TorchPosterior(self.prior_distribution(1), self.prior_distribution(1))),
    family("costs_averaged", costs=scaled_costs(lambda cost: cost.mean())),
    family("costs_inf", costs=scaled_costs(lambda cost: cost * math.inf)),
    family("costs_other_first", costs=lambda self, *given: dict(reversed(Sound.costs(self, *given).items()))),
    family("features_zero", __init__=lambda self, *given: (Sound.__init__(self, *given), setattr(self, "features", 0))[0]),
]


class Linear(nn.Module):
    """A linear layer each way, with something done to its output."""

    def __init__(self, inputs, outputs, finish):
        super().__init__()
        self.layer, self.finish = nn.Linear(inputs, outputs), finish

    def forward(self, x):
        return self.finish(self.layer(x.flatten(1)))


def encoder(label, factor, finish):
    def make(self, assembly, features, options):
        return Linear(math.prod(assembly.data_shape), factor * features, finish)

    return type(label.title().replace("_", ""), (Network,), {"name": label, "__module__": __name__, "encoder": make})


def decoder(label, shape, factor=1.0):
    """A decoder of images of a fixed shape."""

    def make(self, assembly, options):
        return Linear(assembly.latent_dim, math.prod(shape), lambda x: factor * x.view(-1, *shape))

    return type(label.title().replace("_", ""), (Network,), {"name": label, "__module__": __name__, "decoder": make})


NETWORKS = [
    encoder("encoder_of_double", 2, lambda x: x),
    encoder("encoder_averaged", 1, lambda x: x.mean(0, keepdim=True)),
    encoder("encoder_inf", 1, lambda x: x / 0),
    decoder("decoder_row", (1, 1, 8)),
    decoder("decoder_grey", (1, 8, 8)),
    decoder("decoder_nan", (1, 8, 8), math.nan),
    type("DecoderNoModule", (Network,), {"name": "decoder_no_module", "__module__": __name__, "decoder": lambda self, *given: torch.zeros(3)}),
]


def likelihood(label, reconstruction=lambda error: error.flatten(1).sum(1), mean=lambda decoded: decoded):
    members = {
        "reconstruction": lambda self, images, decoded: reconstruction((images - decoded).square()),
        "mean": lambda self, decoded: mean(decoded),
    }
    return type(label.title().replace("_", ""), (Likelihood,), {"name": label, "__module__": __name__, "quadratic": True, **members})


LIKELIHOODS = [
    likelihood("likelihood_averaged", reconstruction=lambda error: error.mean()),
    likelihood("likelihood_by_pixel", reconstruction=lambda error: error.flatten(1)),
    likelihood("likelihood_mean_flat", mean=lambda decoded: decoded.flatten(1)),
]


def estimator(label, loss):
    def whole(self, step):
        cost = step.reconstruction(step.rsample())
        return loss(cost + step.kl())

    return type(label.title().replace("_", ""), (Estimator,), {"name": label, "__module__": __name__, "loss": whole})


ESTIMATORS = [
    estimator("surrogate_by_image", lambda cost: Loss(cost, {"kl": cost.detach()})),
    estimator("surrogate_detached", lambda cost: Loss(cost.mean().detach(), {"kl": cost.detach()})),
    estimator("surrogate_inf", lambda cost: Loss(cost.mean() * math.inf, {"kl": cost.detach()})),
    estimator("reported_mean", lambda cost: Loss(cost.mean(), {"kl": cost.mean().detach()})),
    estimator("loss_tensor", lambda cost: cost.mean()),
]


def made(n=100, shape=(1, 8, 8), labels=None, change=lambda images: images):
    """A split of uniform noise."""
    return Split(change(torch.rand(n, *shape, generator=torch.Generator().manual_seed(n))), labels)


def dataset(label, shape=(1, 8, 8), given=None, pixels="real", labelled=False, labels=None, change=lambda images: images, load=None, **said):
    def splits(self, cache):
        return Splits(made(100, given or shape, labels, change), made(50, given or shape, labels, change))

    members = {
        "data_shape": shape,
        "pixels": pixels,
        "labelled": labelled,
        **said,
        "load": load or splits,
        "defaults": {"likelihood": "gaussian"},
    }
    return type(label.title().replace("_", ""), (DataSet,), {"name": label, "__module__": __name__, **members})


def one_bad_pixel(images):
    images[3, 0, 0, 0] = math.nan
    return images


def shared_images(self, cache):
    train = made(100)
    return Splits(train, Split(torch.cat([train.images[:7], made(43).images])), made(20))


def known(pixels, images):
    """Images with five causes."""

    def load(self, cache):
        train = made(100)
        return Splits(replace(train, causes=torch.zeros(images, 5)), replace(train, causes=torch.zeros(100, 5)), dictionary=torch.zeros(pixels, 5))

    return load


DATASETS = [
    dataset("images_flat", (1, 1, 64), (64,)),
    dataset("images_other_size", (1, 8, 8), (1, 8, 9)),
    dataset("images_double", change=lambda images: images.double()),
    dataset("images_nan", change=one_bad_pixel),
    dataset("images_above_one", pixels="unit", change=lambda images: 2 * images),
    dataset("images_not_binary", pixels="binary"),
    dataset("images_none", load=lambda self, cache: Splits(made(0), made(10))),
    dataset("labels_missing", labelled=True),
    dataset("labels_unsaid", labels=torch.zeros(100, dtype=torch.int64)),
    dataset("labels_float", labelled=True, labels=torch.zeros(100)),
    dataset("splits_tuple", load=lambda self, cache: (made(), made())),
    dataset("colours", (3, 8, 8)),
    dataset("shared_images", load=shared_images, has_test=True),
    dataset("test_unsaid", load=shared_images),
    dataset("test_missing", has_test=True),
    dataset("truth_missing", has_truth=True),
    dataset("truth_unsaid", load=known(64, 100)),
    dataset("truth_transposed", has_truth=True, load=known(5, 100)),
    dataset("truth_of_others", has_truth=True, load=known(64, 99)),
]


def evaluation(label, outcome):
    returned = [metric for metric in getattr(outcome, "metrics", ()) if isinstance(metric, Metric)]
    metrics = {metric.name: Measure(None, "none", "A number.", metric.index_name) for metric in returned}
    members = {"name": label, "__module__": __name__, "metrics": metrics, "evaluate": lambda self, trained, generator: outcome}
    return type(label.title().replace("_", ""), (Evaluation,), members)


ONE = Metric("one", 1.0)
EVALUATIONS = [
    evaluation("outcome_none", None),
    evaluation("outcome_empty", Outcome([])),
    evaluation("metric_number", Outcome([1.0])),
    evaluation("metric_text", Outcome([Metric("one", "1.0")])),
    evaluation("metric_tensor", Outcome([Metric("one", torch.ones(2))])),
    evaluation("metric_nan", Outcome([ONE, Metric("two", math.nan)])),
    evaluation("metric_inf_at", Outcome([ONE, Metric("two", math.inf, "test", index_name="size", index=3.0)])),
    evaluation("metric_error_nan", Outcome([Metric("one", 1.0, standard_error=math.nan)])),
    evaluation("metrics_all_nan", Outcome([Metric(f"m{i}", math.nan) for i in range(5)])),
    evaluation("units_table", Outcome([ONE], [PerUnit("one", torch.ones(2, 2))])),
    evaluation("picture_float", Outcome([ONE], pictures={"p": torch.ones(2, 2)})),
]


@hookimpl
def register_families():
    return FAMILIES


@hookimpl
def register_estimators():
    return ESTIMATORS


@hookimpl
def register_likelihoods():
    return LIKELIHOODS


@hookimpl
def register_networks():
    return NETWORKS


@hookimpl
def register_datasets():
    return DATASETS


@hookimpl
def register_evaluations():
    return EVALUATIONS
