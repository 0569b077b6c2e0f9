"""Estimators on tiny models whose expected loss is a sum over codes: many draws of one image's gradient, and the exact one."""

from dataclasses import dataclass
from itertools import product

import torch

from latentbench.models.objective import Step
from latentbench.registry import load_registry
from latentbench.streams import stream
from latentbench.testing import bench
from latentbench.testing.bench import KitBent, KitImages, KitImagesOptions, KitLinear
from latentbench.testing.law import Effort

BETA = 0.7
SIZES = {"poisson": 2, "categorical": 6, "gaussian": 2, "laplace": 1}
OPTIONS = {"categorical": {"groups": 2}}
LARGEST = 30
"""Counts from here on have a probability of 1e-24 together, at the rates here, 0.6 to 1.7."""


@dataclass
class Tiny:
    """A model of images of four pixels with given features of one image [1, F]."""

    model: object
    image: torch.Tensor
    features: torch.Tensor

    def step(self, draws, seed=1, temperature=1.0):
        """A step on `draws` copies of the image, and its features [N, F]."""
        features = self.features.repeat(draws, 1).requires_grad_()
        code, model = self.model.family.posterior(features), self.model
        images = self.image.repeat(draws, 1, 1, 1)
        return Step(images, code, model.family, model.decoder, model.likelihood, BETA, temperature, True, stream(seed, "draws")), features

    def drawn(self, draws, seed=1, temperature=1.0):
        """`draws` independent gradients of one image's loss in its features [N, F], and what is reported."""
        step, features = self.step(draws, seed, temperature)
        loss = self.model.loss(step)
        return torch.autograd.grad(loss.surrogate * draws, features)[0], loss.reported

    def exact(self, objective):
        """The gradient in the features [F], and the value, of an objective of a step on the one image."""
        step, features = self.step(1)
        value = objective(step).sum()
        return torch.autograd.grad(value, features)[0][0], float(value.detach())


def tiny(family, estimator, bent=True, dims=None, **options):
    """The model of a family with an estimator."""
    parts = load_registry().parts
    family, estimator = parts["families"][family], parts["estimators"][estimator]
    models = {
        "family": family.options_model.model_validate(OPTIONS.get(family.name, {})),
        "estimator": estimator.options_model.model_validate(options),
    }
    images = KitImages(KitImagesOptions(shape=(1, 2, 2)))
    settings = {"family": family, "estimator": estimator, "decoder": KitBent if bent else KitLinear, "dataset": images}
    assembly = bench.assembly(dims or SIZES[family.name], models, **settings)
    model = bench.model(assembly, Effort()).train()
    if hasattr(model.family, "log_r"):
        torch.nn.init.zeros_(model.family.log_r)
    features = torch.linspace(-0.5, 0.5, model.family.features, dtype=torch.float64)[None]
    return Tiny(model, 2 * bench.images(assembly, Effort())[:1], features)


def codes_of(step):
    """All codes [N, 1, K]: counts below 30, or one-hot vectors."""
    k = step.posterior.mean.shape[1]
    if step.family.counts:
        found = list(product(range(LARGEST), repeat=k))
    else:
        groups = step.posterior.kl(step.generator).shape[1]
        eye = torch.eye(k // groups).tolist()
        found = [[number for vector in chosen for number in vector] for chosen in product(eye, repeat=groups)]
    return torch.tensor(found, dtype=torch.float64)[:, None]


def negative_elbo(step):
    """E c + beta KL as the family publishes it."""
    z = codes_of(step)
    return (step.log_q(z).exp() * step.reconstruction(z)).sum(0) + BETA * step.kl()


def sampled_elbo(step):
    """E[c + beta (ln q - ln p)]."""
    z = codes_of(step)
    return (step.log_q(z).exp() * (step.reconstruction(z) + BETA * (step.log_q(z) - step.log_p(z)))).sum(0)


def multi_sample(samples):
    """-E ln mean_s w_s over all tuples of codes."""

    def objective(step):
        z = codes_of(step)
        log_q = step.log_q(z)[:, 0]
        log_w = -step.reconstruction(z)[:, 0] - BETA * (log_q - step.log_p(z)[:, 0])
        tuples = torch.cartesian_prod(*[torch.arange(len(z))] * samples)
        bound = log_w[tuples].logsumexp(1) - torch.tensor(float(samples), dtype=torch.float64).log()
        return -(log_q[tuples].sum(1).exp() * bound).sum()

    return objective


def errors(draws, goal):
    """By how many standard errors the mean of draws [N, F] differs from [F], at most."""
    error = draws.std(0) / len(draws) ** 0.5
    return float(((draws.mean(0) - goal).abs() / error).max())
