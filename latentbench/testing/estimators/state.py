"""What an estimator draws from, and what it keeps from one step to the next."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from latentbench.models.model import Model
from latentbench.testing.ambient import watched
from latentbench.testing.estimators.subject import Case, EstimatorSubject
from latentbench.testing.law import Effort, Trial, check, holds

STEPS = 4
LEARNING_RATE = 0.01


@check(
    "initial values follow from the run's seed, and the same generator gives the same loss and gradient, whatever the global states of torch, numpy "
    "and random are; these are left as they are",
    "torch.randn_like, torch.distributions outside `latentbench.api.forked`, numpy.random",
)
def randomness(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """One step twice, under two global seeds."""
    for case in subject.cases:
        seen = []
        for seed in (1, 2):
            with watched(seed) as changed:
                seen.append(_trained(case, case.built(), case.stream("randomness"), steps=1))
            yield holds(f"{case.title}: changes {' and '.join(changed) or 'no global state'}", not changed)
        same = all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
        yield holds(f"{case.title}: the same generator gives {'the same' if same else 'another'} step", same)


@check(
    "an estimator is its state_dict: a training that is stored and resumed goes as one that was not interrupted, bit for bit",
    "a running baseline, or a count of steps, in a plain attribute; a tensor that is neither a parameter nor a buffer",
)
def state(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """Steps of a model, and of a model of another seed that takes its state over."""
    for case in subject.cases:
        model, generator = case.built(seed=1), case.stream("state")
        _trained(case, model, generator, STEPS)
        resumed, noise = case.built(seed=2), Generator(effort.device)
        resumed.load_state_dict(copy.deepcopy(model.state_dict()))
        noise.set_state(generator.get_state())
        pairs = zip(_trained(case, model, generator, STEPS), _trained(case, resumed, noise, STEPS), strict=True)
        worst = max(float((one - other).abs().max()) for one, other in pairs)
        yield holds(f"{case.title}: after {STEPS} steps the resumed training differs by {worst:.2g}", worst == 0)


def _trained(case: Case, model: Model, generator: Generator, steps: int) -> list[Tensor]:
    """Losses and parameters of a few steps of gradient descent, estimator and all."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    seen = []
    for _ in range(steps):
        loss = model.loss(case.step(model, case.images, case.features.clone().requires_grad_(), generator))
        gradients = torch.autograd.grad(loss.surrogate, parameters, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(LEARNING_RATE * gradient)
        seen += [loss.surrogate.detach(), *(cost.detach() for cost in loss.reported.values())]
    return [*seen, *(value.detach().clone() for value in model.state_dict().values())]
