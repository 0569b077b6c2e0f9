"""A sparse coder as its checks see it: in float64, with a dictionary of unit-norm columns and images of both signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from latentbench.models.codes import PointCode
from latentbench.models.family import Inference, PointFamily
from latentbench.models.model import Model
from latentbench.models.network import dictionary_of
from latentbench.models.objective import Step
from latentbench.models.sparse_coding import SparseCodingOptions
from latentbench.part import Assembly, Options
from latentbench.testing import bench
from latentbench.testing.law import Effort

ROWS = 32


@dataclass(frozen=True)
class PointSubject:
    """A sparse coder's class with options, in an assembly with a linear decoder and a squared error."""

    part: type[PointFamily]
    options: Options
    effort: Effort
    assembly: Assembly

    def built(self, dtype: torch.dtype = torch.float64, seed: int = 1) -> Model:
        """The model at initial values, its decoder constrained and without a bias."""
        made = bench.model(self.assembly, self.effort, dtype, seed).requires_grad_(False)
        dictionary, bias = dictionary_of(made.decoder)
        dictionary.copy_(torch.randn(dictionary.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
        bias.zero_()
        dictionary /= torch.linalg.vector_norm(dictionary, dim=0)
        made.family.constrain(made.decoder)
        return made

    @cached_property
    def model(self) -> Model:
        """The model in float64."""
        return self.built()

    @property
    def family(self) -> PointFamily:
        """The sparse coder in float64."""
        return cast("PointFamily", self.model.family)

    @cached_property
    def images(self) -> Tensor:
        """Images [B, 1, 4, 4] of both signs."""
        return bench.images(self.assembly, self.effort)[:ROWS]

    @cached_property
    def code(self) -> PointCode:
        """The codes of the images."""
        return self.encoded(self.model, self.images)

    def encoded(self, model: Model, images: Tensor) -> PointCode:
        """The codes of images, as training and evaluations get them."""
        inference = Inference(None, model.decoder, model.likelihood, self.effort.generator("point families"))
        return cast("PointCode", model.family.encode(images, inference))

    def costs(self, model: Model, images: Tensor, code: PointCode, z: Tensor) -> Mapping[str, Tensor]:
        """What codes z [B, K] cost."""
        return model.family.costs(images, code, z, model.decoder(z), model.likelihood, None)

    def cost(self, z: Tensor) -> Tensor:
        """The cost [B] that inference minimises, at codes z [B, K] of the images."""
        return self.costs(self.model, self.images, self.code, z)[self.part.cost]

    def step(self, model: Model, images: Tensor, code: PointCode) -> Step:
        """A training step."""
        return Step(images, code, model.family, model.decoder, model.likelihood, 1.0, 1.0, True, self.effort.generator("steps"))

    @property
    def ends_early(self) -> bool:
        """Whether inference ends where codes of a batch change little, and not at the optimum."""
        return isinstance(self.options, SparseCodingOptions) and self.options.tolerance > 0


def subject(part: type[PointFamily], options: Options, effort: Effort) -> PointSubject:
    """The subject of the checks of sparse coders.

    Raises:
        InapplicableError: it does not apply to a linear decoder with a squared error, with these options.
    """
    return PointSubject(part, options, effort, assembly(part, options))


def assembly(part: type[PointFamily], options: Options) -> Assembly:
    """The kit's assembly with a sparse coder.

    Raises:
        InapplicableError: it does not apply to it.
    """
    return bench.assembly(options={"family": options}, family=part, encoder=None)
