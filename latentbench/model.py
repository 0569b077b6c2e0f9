"""The model of one run: family, encoder, decoder and likelihood, with what trains them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from latentbench.codes import Code
from latentbench.estimator import Estimator
from latentbench.family import Family
from latentbench.likelihood import Likelihood
from latentbench.objective import Loss, Objective, Step
from latentbench.part import Assembly, Options
from latentbench.streams import forked, seed_of


class Model(nn.Module):
    """One run's modules. `estimator` is None for an iterative family, which is then its own objective."""

    def __init__(self, family: Family, encoder: nn.Module | None, decoder: nn.Module, estimator: Estimator | None, likelihood: Likelihood) -> None:
        super().__init__()
        self.family = family
        self.encoder = encoder
        self.decoder = decoder
        self.estimator = estimator
        self.likelihood = likelihood

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters."""
        return next(self.parameters()).dtype

    def encode(self, images: Tensor) -> Code:
        """Codes of images [B, 1, H, W]."""
        return self.family.encode(images, self.encoder, self.decoder)

    def decode_mean(self, z: Tensor) -> Tensor:
        """E[x | z] of codes [B, K]: images [B, 1, H, W]."""
        return self.likelihood.mean(self.decoder(z))

    def loss(self, step: Step) -> Loss:
        """The training loss of one step."""
        objective = self.family if self.estimator is None else self.estimator
        return cast("Objective", objective).loss(step)


def build_model(assembly: Assembly, options: dict[str, Options], seed: int, device: torch.device | str, dtype: torch.dtype) -> Model:
    """The model of a run at its initial values.

    Every part has a random stream of its own, so two runs with one seed start from the same values in the parts that they have in common.

    Args:
        assembly: the parts.
        options: the options of `family`, `encoder`, `decoder` and `estimator`.
        seed: the run's seed.
        device: where the model will be; initial values are drawn on the CPU, so they do not depend on it.
        dtype: precision of parameters and buffers.
    """
    with forked(seed_of(seed, "parameters", "family")):
        family = assembly.family(assembly, options["family"])
    encoder, estimator = None, None
    if assembly.encoder is not None:
        with forked(seed_of(seed, "parameters", "encoder")):
            encoder = assembly.encoder().encoder(assembly, family.features, options["encoder"])
    with forked(seed_of(seed, "parameters", "decoder")):
        decoder = assembly.decoder().decoder(assembly, options["decoder"])
    if assembly.estimator is not None:
        with forked(seed_of(seed, "parameters", "estimator")):
            estimator = assembly.estimator(assembly, options["estimator"])
    return Model(family, encoder, decoder, estimator, assembly.likelihood()).to(device, dtype)
