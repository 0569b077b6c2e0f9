"""Moments of an amortised family's samples are those that it states."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from latentbench.testing.chance import means_are
from latentbench.testing.families.subject import FamilySubject
from latentbench.testing.law import Effort, Trial, check


@check("E z = mean", "a mean of the distribution before its activation, a bias of the sampler, or a scale for a mean", by_chance=True)
def mean(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The mean of true samples, dimension by dimension."""
    z = subject.samples("mean", subject.repeated(effort.samples))
    yield from means_are("E z", z, subject.posterior().mean[0], effort)


@check("E (z - E z)^2 = variance", "a standard deviation for a variance, or the variance before an activation", by_chance=True)
def variance(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The variance of true samples around the stated mean, dimension by dimension."""
    z, stated = subject.samples("variance", subject.repeated(effort.samples)), subject.posterior()
    deviation = z - z.mean(0)
    yield from means_are("Var z", deviation.square() * len(z) / (len(z) - 1), stated.variance[0], effort)


@check(
    "E |Phi (z - E z)|^2 = trace(Phi' Phi Cov z) = decoded_variance(Phi) (Poisson VAE, eq. 21)",
    "covariances between dimensions of a code are left out, or the squared norm of a column is its norm",
    by_chance=True,
)
def decoded_variance(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The spread of decoded true samples."""
    z = subject.samples("decoded variance", subject.repeated(effort.samples))
    spread = ((z - z.mean(0)) @ subject.dictionary.T).square().sum(1) * len(z) / (len(z) - 1)
    yield from means_are("E |Phi (z - E z)|^2", spread[:, None], subject.posterior().decoded_variance(subject.dictionary)[:1], effort)


@check(
    "the score has mean zero and moves the mean: E grad ln q(z) = 0 and E[(a'z) grad ln q(z)] = grad (a' mean), for the encoder's features",
    "log_prob is detached from a parameter, has the sign of its gradient wrong, or is not that of the samples",
    by_chance=True,
)
def score(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The gradient of log_prob in the features of one row."""
    features = subject.features[:1].expand(effort.samples, -1).clone().requires_grad_()
    posterior = subject.posterior(features)
    z = subject.samples("score", posterior)
    (gradient,) = torch.autograd.grad(posterior.log_prob(z).sum(), features)  # [N, F]
    a = effort.uniform(-1, 1, subject.family.latent_dim, name="score")
    yield from means_are("E grad ln q", gradient, torch.zeros(gradient.shape[1]), effort)
    one = subject.features[:1].clone().requires_grad_()
    (expected,) = torch.autograd.grad((subject.posterior(one).mean @ a).sum(), one)
    yield from means_are("E (a'z) grad ln q", (z @ a)[:, None] * gradient, expected[0], effort)
