"""A network as its checks see it: the encoders and decoders that it makes for items of several shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from latentbench.models.likelihood import Likelihood
from latentbench.models.network import Network
from latentbench.part import Assembly, Options
from latentbench.streams import forked, seed_of
from latentbench.testing import bench
from latentbench.testing.bench import KitImages, KitImagesOptions, KitLinear, KitSquared
from latentbench.testing.estimators.families import KitGaussian
from latentbench.testing.law import Effort, InapplicableError

SHAPES: tuple[tuple[int, ...], ...] = ((1, 16, 16), (64,), (1, 28, 28), (3, 16, 16))
"""No larger: the residual layers of a perceptron of 3x32x32 numbers have 300 million weights."""
SMALL = 256
DIMS = (3, 10)
FEATURES = 7
ROWS = 3
Side = Literal["encoder", "decoder"]
SIDES: tuple[Side, ...] = ("encoder", "decoder")


class KitTwo(KitSquared):
    """Two numbers a pixel, the second a weight of the squared error of the first."""

    name = "kit_two"

    @classmethod
    def numbers(cls, options: Options) -> int:
        """Two."""
        return 2

    @classmethod
    def is_quadratic(cls, options: Options) -> bool:
        """It is not."""
        return False

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """A weighted squared error [B]."""
        first, second = decoded.chunk(2, dim=1)
        return ((images - first).square() * second.exp() - 0.5 * second).flatten(1).sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """The first number of each pixel."""
        return decoded.chunk(2, dim=1)[0]


@dataclass(frozen=True)
class Case:
    """One side of a network in one assembly."""

    side: Side
    network: type[Network]
    assembly: Assembly
    effort: Effort

    @property
    def title(self) -> str:
        """The side, the shape of items, and the sizes."""
        to = (
            f"{self.assembly.latent_dim} dimensions to {list(self.outputs)}"
            if self.side == "decoder"
            else f"{list(self.inputs)} to {FEATURES} features"
        )
        return f"{self.side} of {to}"

    @property
    def inputs(self) -> tuple[int, ...]:
        """The shape of what goes in."""
        return self.assembly.data_shape if self.side == "encoder" else (self.assembly.latent_dim,)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The shape that is promised."""
        return (FEATURES,) if self.side == "encoder" else self.assembly.decoded_shape

    def built(self, seed: int = 1, dtype: torch.dtype = torch.float64) -> nn.Module:
        """The module, in evaluation mode."""
        options = self.assembly.options[self.side]
        with forked(seed_of(seed, "parameters", self.side)):
            made = self.network()
            module = made.encoder(self.assembly, FEATURES, options) if self.side == "encoder" else made.decoder(self.assembly, options)
        return module.to(self.effort.device, dtype).eval()

    def values(self, rows: int = ROWS, scale: float = 1.0) -> Tensor:
        """What goes in [rows, *inputs], in float64."""
        return self.effort.uniform(-scale, scale, rows, *self.inputs, name="values")


@dataclass(frozen=True)
class NetworkSubject:
    """A network class with options, at every shape that it applies to."""

    network: type[Network]
    cases: tuple[Case, ...]

    @property
    def small(self) -> tuple[Case, ...]:
        """The cases of items of no more than 256 numbers; all, where there are none."""
        return tuple(case for case in self.cases if torch.Size(case.assembly.data_shape).numel() <= SMALL) or self.cases

    @property
    def few(self) -> tuple[Case, ...]:
        """The first case of each side."""
        return tuple({case.side: case for case in reversed(self.small)}.values())


def subject(part: type[Network], options: Options, effort: Effort) -> NetworkSubject:
    """The subject of the checks of networks.

    Raises:
        InapplicableError: the network applies to no shape of the kit's items, with these options.
    """
    cases, reasons = [], []
    for side in SIDES:
        if getattr(part, side) is getattr(Network, side):
            continue
        for shape in SHAPES:
            try:
                cases += [Case(side, part, made, effort) for made in _assemblies(part, options, side, shape)]
            except InapplicableError as reason:
                reasons.append(str(reason))
    if not cases:
        raise InapplicableError(reasons[0] if reasons else "it has neither an encoder nor a decoder")
    return NetworkSubject(part, tuple(cases))


def _assemblies(part: type[Network], options: Options, side: Side, shape: tuple[int, ...]) -> list[Assembly]:
    """One for an encoder; for a decoder, one for each number of dimensions, and one for a likelihood of two numbers."""
    chosen: list[tuple[int, type[Likelihood]]] = [(DIMS[0], KitSquared)]
    if side == "decoder":
        chosen += [(DIMS[1], KitSquared), (DIMS[0], KitTwo)]
    images = KitImages(KitImagesOptions(images=8, shape=shape))
    other: Side = "decoder" if side == "encoder" else "encoder"
    parts = {side: part, other: KitLinear, "family": KitGaussian, "dataset": images}
    return [bench.assembly(dim, {side: options}, likelihood=likelihood, **parts) for dim, likelihood in chosen]
