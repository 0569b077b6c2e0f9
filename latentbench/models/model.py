"""The model of one run: family, encoder, decoder and likelihood, with what trains them."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from latentbench.contract import check_class, origin
from latentbench.errors import UserError
from latentbench.models.codes import Code
from latentbench.models.estimator import Estimator
from latentbench.models.family import Family
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import Network
from latentbench.models.objective import Loss, Objective, Step
from latentbench.part import Assembly
from latentbench.streams import forked, seed_of


class Model(nn.Module):
    """One run's modules, and the assembly they were built from. `estimator` is None for an iterative family, which is then its own objective."""

    def __init__(
        self,
        assembly: Assembly,
        family: Family,
        encoder: nn.Module | None,
        decoder: nn.Module,
        estimator: Estimator | None,
        likelihood: Likelihood,
    ) -> None:
        super().__init__()
        self.assembly = assembly
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
        """Codes of images [B, C, H, W]."""
        return self.family.encode(images, self.encoder, self.decoder)

    def decode_mean(self, z: Tensor) -> Tensor:
        """E[x | z] of codes [B, K]: images [B, C, H, W]."""
        return self.likelihood.mean(self.decoder(z))

    def loss(self, step: Step) -> Loss:
        """The training loss of one step."""
        objective = self.family if self.estimator is None else self.estimator
        return cast("Objective", objective).loss(step)


class _Classes(Protocol):
    """The classes of an assembly as what they are: it holds them as what parts may know of each other."""

    family: type[Family]
    likelihood: type[Likelihood]
    decoder: type[Network]
    encoder: type[Network] | None
    estimator: type[Estimator] | None


def build_model(assembly: Assembly, seed: int, device: torch.device | str, dtype: torch.dtype, compiled: bool = False) -> Model:
    """The model of a run at its initial values.

    Every part has a random stream of its own, so two runs with one seed start from the same values in the parts that they have in common.

    Args:
        assembly: the parts and their options.
        seed: the run's seed.
        device: where the model will be; initial values are drawn on the CPU, so they do not depend on it.
        dtype: precision of parameters and buffers. With bfloat16 they stay in float32: the networks' products are in bfloat16, their results, and
            so all sampling and losses, in float32.
        compiled: whether the networks are compiled.

    Raises:
        UserError: a family does not say how many features it needs, or a network is no module.
    """
    made, options = cast("_Classes", assembly), assembly.options
    with forked(seed_of(seed, "parameters", "family")):
        family = made.family(assembly, options["family"])
    encoder, estimator = None, None
    if made.encoder is not None:
        features = getattr(family, "features", None)
        if not (isinstance(features, int) and features > 0):
            raise UserError(f"{origin(family)} sets features = {features!r} in __init__, expected how many numbers per image an encoder must give")
        with forked(seed_of(seed, "parameters", "encoder")):
            encoder = made.encoder().encoder(assembly, features, options["encoder"])
        check_class(f"{origin(made.encoder)}.encoder(...)", encoder, nn.Module)
    with forked(seed_of(seed, "parameters", "decoder")):
        decoder = made.decoder().decoder(assembly, options["decoder"])
    check_class(f"{origin(made.decoder)}.decoder(...)", decoder, nn.Module)
    if made.estimator is not None:
        with forked(seed_of(seed, "parameters", "estimator")):
            estimator = made.estimator(assembly, options["estimator"])
    with forked(seed_of(seed, "parameters", "likelihood")):
        likelihood = made.likelihood(assembly, options["likelihood"])
    for network in (encoder, decoder):
        if network is not None and dtype is torch.bfloat16:
            _in_bfloat16(network, torch.device(device).type)
        if network is not None and compiled:
            network.compile()
    if dtype is torch.bfloat16:
        family.product_dtype = dtype
    model = Model(assembly, family, encoder, decoder, estimator, likelihood)
    return model.to(device, torch.float32 if dtype is torch.bfloat16 else dtype)


def _in_bfloat16(network: nn.Module, device_type: str) -> None:
    """Run a network's matrix products and convolutions in bfloat16, and give back float32."""
    forward = network.forward

    def cast(x: Tensor) -> Tensor:
        with torch.autocast(device_type, torch.bfloat16):
            result: Tensor = forward(x)
        return result.float()

    network.forward = cast  # the module keeps its name, its parameters and its hooks
