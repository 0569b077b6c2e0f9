"""The expected loss of the kit's models: sums over all codes, or quadrature, which differentiate into the exact gradient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from latentbench.models.model import Model
from latentbench.testing.estimators.families import BernoulliCode, GaussianCode, OneHotCode
from latentbench.testing.estimators.subject import BETA, TEMPERATURE, Case

HERMITE = 40
"""Nodes a dimension for Gaussian latents: with the kit's bent decoder 20 and 60 give the same to 1e-9."""
LEGENDRE = 24
"""Nodes a dimension for relaxed samples: at T = 1/2 they are rational functions of the uniform noise, without a pole in [0, 1]."""


@dataclass(frozen=True)
class Gradient:
    """What a loss, and its gradient, are: costs by row [R], the gradient by features [R, F] of each row's own loss, by decoder and by prior."""

    reconstruction: Tensor
    kl: Tensor
    features: Tensor
    decoder: Tensor
    prior: Tensor

    def parts(self) -> dict[str, Tensor]:
        """The gradient by what it is taken in."""
        return {"features": self.features, "decoder": self.decoder, "prior": self.prior}


def expected(case: Case, relaxed: bool = False) -> Gradient:
    """The expected loss of the case's rows: with true samples, or with samples relaxed at the kit's temperature."""
    model, features = case.model, case.features.clone().requires_grad_()
    step = case.step(model, case.images, features, case.stream("expected"))
    z, weights = nodes(step.code, relaxed)  # [N, R, K], [N, R]
    reconstruction, kl = (weights * step.reconstruction(z)).sum(0), step.kl()
    return gradient((reconstruction + BETA * kl).mean(), features, model, reconstruction, kl)


def gradient(loss: Tensor, features: Tensor, model: Model, reconstruction: Tensor, kl: Tensor) -> Gradient:
    """The gradient of a mean over rows; that of each row in its own features [R, F] is R times the mean's."""
    groups = [list(model.decoder.parameters()), list(model.family.parameters())]
    inputs = [features, *(parameter for group in groups for parameter in group)]
    found = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
    of_features, rest = found[0] * len(features), found[1:]
    decoder, prior = rest[: len(groups[0])], rest[len(groups[0]) :]
    flat = [torch.cat([value.flatten() for value in group]) for group in (decoder, prior)]
    return Gradient(reconstruction.detach(), kl.detach(), of_features, *flat)


def nodes(code: object, relaxed: bool, sizes: tuple[int, int] = (HERMITE, LEGENDRE)) -> tuple[Tensor, Tensor]:
    """Codes [N, R, K] and weights [N, R] whose weighted sum is the expectation over samples of the code."""
    if isinstance(code, GaussianCode):
        noise, weights = _grid(*np.polynomial.hermite_e.hermegauss(sizes[0]), code.mean)
        return code.at(noise), weights / weights.sum(0)
    if isinstance(code, OneHotCode):
        return _one_hots(code)
    assert isinstance(code, BernoulliCode)
    if relaxed:
        noise, weights = _grid(*np.polynomial.legendre.leggauss(sizes[1]), code.mean)
        return code.at((noise + 1) / 2, TEMPERATURE), weights / weights.sum(0)
    rows, dims = code.logits.shape
    codes = code.logits.new_tensor(list(product((0.0, 1.0), repeat=dims)))[:, None].expand(-1, rows, -1)
    return codes, code.log_prob(codes).sum(-1).exp()


def _one_hots(code: OneHotCode) -> tuple[Tensor, Tensor]:
    """All codes of one-hot vectors, and their probabilities."""
    rows, groups, categories = code.log_p.shape
    vectors = torch.eye(categories).tolist()
    every = code.log_p.new_tensor([[number for vector in chosen for number in vector] for chosen in product(vectors, repeat=groups)])  # [N, K]
    codes = every[:, None].expand(-1, rows, -1)
    return codes, code.log_prob(codes).sum(-1).exp()


def _grid(points: np.ndarray, weights: np.ndarray, like: Tensor) -> tuple[Tensor, Tensor]:
    """The product rule over K dimensions: points [N, R, K] and weights [N, R]."""
    rows, dims = like.shape
    grid = like.new_tensor(list(product(points.tolist(), repeat=dims)))
    weight = like.new_tensor(list(product(weights.tolist(), repeat=dims))).prod(1)
    return grid[:, None].expand(-1, rows, -1), weight[:, None].expand(-1, rows)
