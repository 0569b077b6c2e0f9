"""Gradients of an amortised family: by finite differences in float64, and of the pathwise samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from latentbench.testing.chance import means_are, same_means
from latentbench.testing.families.subject import TEMPERATURE, FamilySubject
from latentbench.testing.law import Effort, Trial, check, holds, remark

DIRECTIONS, WIDTH, BATCHES = 3, 0.02, 50
"""Of the central differences of relaxed samples; the error of the differences is of the order of WIDTH^2."""


@check(
    "the derivatives of mean, variance, decoded_variance, log_prob and kl in the encoder's features and the family's parameters are the limits of "
    "their finite differences",
    "a `detach`, a `no_grad`, a `clamp`, or a step of in-place arithmetic",
)
def gradients(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Every differentiable quantity against central differences."""
    family = subject.family
    features = subject.features[:2].clone().requires_grad_()
    z = subject.samples("gradients", subject.posterior(features))
    quantities: dict[str, Callable[[], Tensor]] = {
        "mean": lambda: family.posterior(features).mean,
        "variance": lambda: family.posterior(features).variance,
        "decoded_variance": lambda: family.posterior(features).decoded_variance(subject.dictionary),
        "log_prob": lambda: family.posterior(features).log_prob(z),
        "log_prob of the prior": lambda: family.prior(2).log_prob(z),
    }
    if not family.estimated_kl:
        quantities["kl"] = lambda: family.posterior(features).kl(subject.stream("gradients"))
    parameters = list(family.requires_grad_().parameters())
    for name, quantity in quantities.items():
        wrong = _difference(quantity, [features, *parameters])
        yield holds(f"{name}{wrong}", not wrong)
    family.requires_grad_(False)


def _difference(quantity: Callable[[], Tensor], inputs: Sequence[Tensor]) -> str:
    """In what the derivative differs from finite differences, as a clause; nothing where it does not."""
    try:
        gradcheck(lambda *_: quantity(), tuple(inputs), eps=1e-6, atol=1e-6, rtol=1e-4)
    except GradcheckError as error:
        return f": {' '.join(str(error).split())[:300]}"
    return ""


@check(
    "the mean pathwise gradient is the gradient of the mean: E grad |x - Phi z|^2 = grad (|x - Phi E z|^2 + trace(Phi' Phi Cov z)); "
    "a relaxed family's is the gradient of E |x - Phi z|^2 at its temperature, by finite differences, and its bias at T = 0 is reported",
    "noise that depends on the parameters, a detached scale, or a sample that is not `sample`'s",
    by_chance=True,
)
def pathwise(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The gradient of a decoded squared error in the features of one row."""
    exact = _exact(subject)
    if subject.family.relaxed:
        yield from _along(subject, effort)
        yield from _relaxed(subject, effort, exact)
    else:
        yield from means_are("E grad, feature ", _pathwise(subject, 1.0, effort.samples), exact, effort)


def _target(subject: FamilySubject) -> Tensor:
    """An image [M]."""
    return subject.effort.uniform(-1, 1, len(subject.dictionary), name="target")


def _exact(subject: FamilySubject) -> Tensor:
    """The gradient of the expected squared error in closed form [F]."""
    features = subject.features[:1].clone().requires_grad_()
    posterior = subject.posterior(features)
    error = (_target(subject) - posterior.mean @ subject.dictionary.T).square().sum(1) + posterior.decoded_variance(subject.dictionary)
    return torch.autograd.grad(error.sum(), features)[0][0]


def _pathwise(subject: FamilySubject, temperature: float, times: int) -> Tensor:
    """Gradients of the squared error of single samples [N, F]."""
    features = subject.features[:1].expand(times, -1).clone().requires_grad_()
    z = subject.posterior(features).rsample(temperature, subject.stream("pathwise"))
    return torch.autograd.grad((_target(subject) - z @ subject.dictionary.T).square().sum(), features)[0]


def _along(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Derivatives at T = .5 along random directions in features and parameters: pathwise, and by central differences of other samples."""
    family = subject.family.requires_grad_()
    inputs = [subject.features[:1].clone().requires_grad_(), *family.parameters()]
    times = min(effort.samples, 50_000)
    for i in range(DIRECTIONS):
        direction = [effort.uniform(-1, 1, *tensor.shape, name=f"direction {i} {j}") for j, tensor in enumerate(inputs)]
        sides = []
        for way in (1, -1):
            with torch.no_grad(), _moved(inputs, direction, way * WIDTH):
                sides.append(_errors(subject, inputs[0], times, f"differences {i}"))
        found = [_along_one(_errors(subject, inputs[0], times // BATCHES, f"pathwise {i} {k}").mean(), inputs, direction) for k in range(BATCHES)]
        yield from same_means(f"direction {i}", torch.stack(found), (sides[0] - sides[1]) / (2 * WIDTH), effort)
    family.requires_grad_(False)


@contextmanager
def _moved(inputs: Sequence[Tensor], direction: Sequence[Tensor], by: float) -> Iterator[None]:
    """Inputs that are moved along a direction, for a while."""
    kept = [tensor.detach().clone() for tensor in inputs]
    for tensor, ahead in zip(inputs, direction, strict=True):
        tensor.add_(by * ahead)
    try:
        yield
    finally:
        for tensor, before in zip(inputs, kept, strict=True):
            tensor.copy_(before)


def _errors(subject: FamilySubject, features: Tensor, times: int, name: str) -> Tensor:
    """Squared errors of relaxed samples of one row [times]."""
    z = subject.posterior(features.expand(times, -1)).rsample(TEMPERATURE, subject.stream(name))
    return (_target(subject) - z @ subject.dictionary.T).square().sum(1)


def _along_one(error: Tensor, inputs: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
    """The derivative of a number along a direction."""
    gradients = torch.autograd.grad(error, inputs, allow_unused=True)
    along = [(gradient * ahead).sum() for gradient, ahead in zip(gradients, direction, strict=True) if gradient is not None]
    return torch.stack(along).sum()


def _relaxed(subject: FamilySubject, effort: Effort, exact: Tensor) -> Iterator[Trial]:
    """The bias falls with the temperature; bias and variance at three temperatures are remarks."""
    found = {}
    for temperature in (2.0, 1.0, TEMPERATURE, 0.1):
        gradient = _pathwise(subject, temperature, min(effort.samples, 20_000))
        found[temperature] = float((gradient.mean(0) - exact).norm() / exact.norm())
        yield remark(
            f"at T = {temperature:g}: bias {found[temperature]:.2g} of the exact gradient's norm, variance {float(gradient.var(0).sum()):.3g}"
        )
    yield holds(f"the bias at T = .5, {found[TEMPERATURE]:.2g}, is below that at T = 2, {found[2.0]:.2g}", found[TEMPERATURE] < found[2.0])
