"""Families that are wrong in one way each: the check of that law finds it, at the error probability as shipped."""

import math

import pytest
import torch
from latentbench_categorical import Categorical, CategoricalPosterior
from latentbench_gaussian import Gaussian, GaussianPosterior
from latentbench_laplace import Laplace
from latentbench_poisson import Poisson, PoissonPosterior
from latentbench_poisson.rates import encoded_rates
from torch.distributions import Normal

from latentbench.api import TorchFamily, estimate_kl
from latentbench.streams import stream
from latentbench.testing import examine

CONSTANT = torch.randn(10, dtype=torch.float64, generator=stream(0, "planted"))


def wrong_posterior(posterior, **changes):
    """The posterior class with other methods; those that are properties stay so."""
    made = {name: property(change) if isinstance(getattr(posterior, name), property) else change for name, change in changes.items()}
    return type(f"Wrong{posterior.__name__}", (posterior,), made)


def gaussian(**changes):
    """A Gaussian family whose posterior has other methods."""
    posterior = wrong_posterior(GaussianPosterior, **changes)
    return type("WrongGaussian", (Gaussian,), {"distribution": lambda self, loc, log_scale: posterior(loc, log_scale)})


def poisson(**changes):
    """A Poisson family whose posterior, and prior, have other methods."""
    posterior = wrong_posterior(PoissonPosterior, **changes)

    def made(self, code):
        code.__class__ = posterior
        return code

    methods = {
        "posterior": lambda self, features: made(self, Poisson.posterior(self, features)),
        "prior": lambda self, batch: made(self, Poisson.prior(self, batch)),
    }
    return type("WrongPoisson", (Poisson,), {**methods, "deviations": {}})


def categorical(**changes):
    """A categorical family whose posterior has other methods."""
    posterior = wrong_posterior(CategoricalPosterior, **changes)

    def made(self, features):
        code = Categorical.posterior(self, features)
        code.__class__ = posterior
        return code

    return type("WrongCategorical", (Categorical,), {"posterior": made})


def family(base, **changes):
    """A family with other methods."""
    return type(f"Wrong{base.__name__}", (base,), changes)


class PlainTensor(Laplace):
    """A prior whose location is drawn at first and is in no state_dict."""

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.drawn = torch.rand(self.latent_dim)

    def prior(self, batch):
        zeros = self.origin.expand(batch, -1)
        return self.distribution(zeros + self.drawn.to(zeros), zeros)


class Estimated(TorchFamily):
    """A Gaussian with an estimated divergence."""

    name = "wrong_estimated"
    estimated_kl = True

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = self.latent_dim

    def posterior_distribution(self, features):
        return Normal(features, torch.ones_like(features))

    def prior_distribution(self, batch):
        zeros = next(iter(self.buffers()), torch.zeros(batch, self.latent_dim, dtype=torch.float64))
        return Normal(zeros, torch.ones_like(zeros))

    def posterior(self, features):
        posterior = super().posterior(features)
        posterior.kl = lambda generator: estimate_kl(posterior, posterior.p, generator) * 1.1
        return posterior


def unseeded(self, temperature, generator):
    return self.loc + self.scale * torch.randn_like(self.loc)


def same_noise(self, temperature, generator):
    return self.loc + self.scale * torch.randn(self.loc.shape, generator=stream(1), dtype=self.loc.dtype)


def nan_at_zero(self, z):
    return z * self.rate.sub(torch.finfo(torch.float32).eps).log() - self.rate - torch.lgamma(z + 1)


def other_noise(self, temperature, generator):
    return PoissonPosterior.rsample(self, temperature, generator), PoissonPosterior.sample(self, generator)


def normalised_batch(self, features):
    return Gaussian.posterior(self, features - features.mean(0))


def ascending(self, generator):
    kl = GaussianPosterior.kl(self, generator)
    return 2 * kl.detach() - kl


def prior_detached(self, features):
    return PoissonPosterior(*encoded_rates(features, self.log_r.detach(), self.log_rate_limit), features, self.cap)


FAULTS = {
    "KL times 2": ("kl", lambda: gaussian(kl=lambda self, g: 2 * GaussianPosterior.kl(self, g))),
    "KL of counts times 2": ("kl", lambda: poisson(kl=lambda self, g: 2 * PoissonPosterior.kl(self, g))),
    "KL summed over latents": ("shapes", lambda: gaussian(kl=lambda self, g: GaussianPosterior.kl(self, g).sum(1))),
    "KL to another prior": ("kl_at_prior", lambda: gaussian(kl=lambda self, g: GaussianPosterior.kl(self, g) + 0.5 * (1 - 2 * self.loc))),
    "KL of the wrong sign": ("kl_is_positive", lambda: gaussian(kl=lambda self, g: -GaussianPosterior.kl(self, g))),
    "biased estimate of the KL": ("kl", lambda: Estimated),
    "relaxed `sample`": ("support", lambda: poisson(sample=lambda self, g: self.rsample(0.5, g).detach())),
    "variance off by 10 %": ("variance", lambda: gaussian(variance=lambda self: 1.1 * self.scale.square())),
    "standard deviation for a variance": ("variance", lambda: gaussian(variance=lambda self: self.scale)),
    "mean off by 10 %": ("mean", lambda: gaussian(mean=lambda self: 1.1 * self.loc)),
    "covariances left out": (
        "decoded_variance",
        lambda: categorical(decoded_variance=lambda self, dictionary: self.variance @ dictionary.square().sum(0)),
    ),
    "global randomness": ("randomness", lambda: gaussian(rsample=unseeded)),
    "the same noise always": ("fresh_noise", lambda: gaussian(rsample=same_noise)),
    "detached gradient of the KL": ("gradients", lambda: gaussian(kl=lambda self, g: GaussianPosterior.kl(self, g).detach())),
    "detached scale in `rsample`": (
        "pathwise",
        lambda: gaussian(rsample=lambda self, t, g: self.loc + (GaussianPosterior.rsample(self, t, g) - self.loc).detach()),
    ),
    "half the gradient of a relaxed sample": (
        "pathwise",
        lambda: poisson(rsample=lambda self, t, g: 0.5 * (z := PoissonPosterior.rsample(self, t, g)) + 0.5 * z.detach()),
    ),
    "detached prior of a relaxed sample": ("pathwise", lambda: family(Poisson, posterior=prior_detached, deviations={})),
    "detached log_prob": ("score", lambda: gaussian(log_prob=lambda self, z: GaussianPosterior.log_prob(self, z).detach().requires_grad_())),
    "log_prob without its normaliser": (
        "normalised",
        lambda: gaussian(log_prob=lambda self, z: GaussianPosterior.log_prob(self, z) + 0.5 * math.log(2 * math.pi)),
    ),
    "log_prob of another scale": (
        "distribution",
        lambda: gaussian(log_prob=lambda self, z: GaussianPosterior(self.loc, self.log_scale + 0.1).log_prob(z)),
    ),
    "float64 leak": ("dtypes", lambda: gaussian(mean=lambda self: self.loc + torch.zeros((), dtype=torch.float64).expand(1, 1))),
    "NaN at rate 0": ("extremes", lambda: poisson(log_prob=nan_at_zero)),
    "prior that ignores the batch": ("shapes", lambda: family(Gaussian, prior=lambda self, batch: Gaussian.prior(self, 1))),
    "`relaxed` forgotten": ("temperature", lambda: family(Poisson, relaxed=False)),
    "`counts` forgotten": ("support", lambda: family(Poisson, counts=False)),
    "1-d representation": ("shapes", lambda: gaussian(representation=lambda self: self.loc[:, 0])),
    "log_prob of one sample an image alone": (
        "shapes",
        lambda: gaussian(log_prob=lambda self, z: GaussianPosterior.log_prob(self, z.reshape(-1, z.shape[-1])[: len(self.loc)])),
    ),
    "statistics over the batch": ("rows", lambda: family(Gaussian, posterior=normalised_batch)),
    "hard samples of other noise": ("relaxation", lambda: poisson(relaxed_and_hard=other_noise)),
    "a state that is not stored": ("state", lambda: PlainTensor),
    "normal by name alone": ("normal", lambda: gaussian(log_prob=lambda self, z: GaussianPosterior(self.loc, self.log_scale + 0.1).log_prob(z))),
    "counts that end one too early": (
        "values",
        lambda: poisson(values=lambda self, tail: PoissonPosterior.values(self, tail)[:-1] if tail else None),
    ),
    "one-hots without the last": ("values", lambda: categorical(values=lambda self, tail: CategoricalPosterior.values(self, tail)[:-1])),
    "a gradient of the KL of the wrong sign": ("training", lambda: gaussian(kl=ascending)),
}


def test_there_is_a_fault_for_every_check():
    from latentbench.testing.kinds import laws_of

    assert {check for check, _ in FAULTS.values()} == set(laws_of(Gaussian).names)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_family_is_caught_by_the_check_that_names_it(fault):
    check, make = FAULTS[fault]
    (finding,) = examine(make(), only=[check]).findings
    assert finding.status == "failed", "\n".join(finding.text())


@pytest.mark.parametrize("check", sorted({check for check, _ in FAULTS.values()}))
def test_a_right_family_passes_it(check):
    part = {"relaxation": Categorical, "decoded_variance": Categorical, "values": Poisson}.get(check, Gaussian)
    (finding,) = examine(part, only=[check]).findings
    assert finding.status == "passed", "\n".join(finding.text())
