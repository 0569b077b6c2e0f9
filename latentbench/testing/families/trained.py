"""An amortised family can be stored, and trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch

from latentbench.models.codes import Posterior
from latentbench.models.family import AmortisedFamily
from latentbench.models.model import Model
from latentbench.testing import bench
from latentbench.testing.families.subject import TEMPERATURE, FamilySubject
from latentbench.testing.law import Effort, Trial, check, holds

STEPS = 50
LEARNING_RATE = 0.01


@check(
    "a family is its state_dict: another instance with the same state gives the same posterior, samples and prior",
    "a tensor that is neither a parameter nor a buffer, or what an epoch has changed in a plain attribute",
)
def state(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """A family that has seen two epochs, and a new one of another seed that takes its state over."""
    used, restored = subject.built(seed=1), subject.built(seed=2)
    for epoch in range(2):
        used.begin_epoch(epoch, 10)
        used.observe(used.posterior(subject.features))
    restored.load_state_dict(used.state_dict())
    for name, (one, other) in {name: (_told(used, subject)[name], _told(restored, subject)[name]) for name in _told(used, subject)}.items():
        yield holds(f"{name}: the restored family's differs by {float((one - other).abs().max()):.2g}", torch.equal(one, other))


def _told(family: AmortisedFamily, subject: FamilySubject) -> dict[str, torch.Tensor]:
    posterior, prior = family.posterior(subject.features), family.prior(2)
    return {
        "mean": posterior.mean,
        "variance": posterior.variance,
        "kl": posterior.kl(subject.stream("state")),
        "sample": posterior.sample(subject.stream("state")),
        "rsample": posterior.rsample(TEMPERATURE, subject.stream("state")),
        "prior.mean": prior.mean,
        "prior.sample": prior.sample(subject.stream("state")),
    }


@check(
    f"the negative evidence lower bound of a small linear model falls in {STEPS} steps of the pathwise estimator, and stays finite",
    "a gradient of the wrong sign, a posterior that does not depend on its features, or initial values from which training diverges",
)
def training(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Adam on the kit's images, at T = .5 for relaxed samples; the bound is that of true samples before and after."""
    model = bench.model(subject.assembly, effort, torch.float32)
    images = bench.images(subject.assembly, effort, torch.float32)
    generator = subject.stream("training")
    before = _cost(model, images, subject)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    for step in range(STEPS):
        if step % 10 == 0:
            model.family.begin_epoch(step // 10, STEPS / 10)
        code = cast("Posterior", model.encode(images, generator, TEMPERATURE))
        model.family.observe(code)
        loss = model.likelihood.reconstruction(images, model.decoder(code.rsample(TEMPERATURE, generator))) + code.kl(generator).sum(1)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    after = _cost(model, images, subject)
    yield holds(f"{before:.4g} nats before, {after:.4g} after", after < before)


def _cost(model: Model, images: torch.Tensor, subject: FamilySubject) -> float:
    """The bound over all images, with one true sample each of the same noise, in nats an image."""
    generator = subject.stream("cost")
    with torch.no_grad():
        code = cast("Posterior", model.encode(images, generator))
        z = code.sample(generator)
        costs = model.family.costs(images, code, z, model.decoder(z), model.likelihood, code.kl(generator))
    return float(costs[model.family.cost].mean())
