"""A likelihood as its checks see it: for each kind of pixels that it applies to, with learned parameters that are at no special value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from latentbench.models.likelihood import Likelihood
from latentbench.part import Assembly, Options
from latentbench.testing import bench
from latentbench.testing.bench import KitImages, KitImagesOptions
from latentbench.testing.estimators.families import KitGaussian
from latentbench.testing.law import Effort, InapplicableError

Kind = Literal["real", "unit", "binary", "count"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BATCH = 3


@dataclass(frozen=True)
class LikelihoodSubject:
    """A likelihood class with options, and the kinds of pixels that it applies to."""

    part: type[Likelihood]
    options: Options
    effort: Effort
    kinds: tuple[Kind, ...]

    def assembly(self, kind: Kind, shape: tuple[int, ...] = (1, 2, 2)) -> Assembly:
        """The assembly with items of a kind and a shape."""
        return _assembly(self.part, self.options, kind, shape)

    def built(self, kind: Kind, shape: tuple[int, ...] = (1, 2, 2), dtype: torch.dtype = torch.float64, seed: int = 1) -> Likelihood:
        """The likelihood; its trained parameters are drawn from [-.5, .5]."""
        likelihood = bench.model(self.assembly(kind, shape), self.effort, dtype, seed).likelihood
        with torch.no_grad():
            for name, parameter in likelihood.named_parameters():
                drawn = self.effort.uniform(-0.5, 0.5, parameter.numel(), name=f"{name}/{seed}")
                parameter.copy_(drawn.reshape(parameter.shape).to(dtype))
        return likelihood

    def images(self, kind: Kind, shape: tuple[int, ...] = (1, 2, 2)) -> Tensor:
        """Images [3, *shape] of the kit in float64."""
        return bench.images(self.assembly(kind, shape), self.effort)[:BATCH]

    def decoded(self, kind: Kind, shape: tuple[int, ...] = (1, 2, 2), name: str = "decoded") -> Tensor:
        """Decoded numbers in [-1.5, 1.5] for as many images, in float64."""
        return self.effort.uniform(-1.5, 1.5, BATCH, *self.assembly(kind, shape).decoded_shape, name=name)


def subject(part: type[Likelihood], options: Options, effort: Effort) -> LikelihoodSubject:
    """The subject of the checks of likelihoods.

    Raises:
        InapplicableError: the likelihood applies to no kind of pixels, with these options.
    """
    found, reasons = [], []
    for kind in KINDS:
        try:
            _assembly(part, options, kind, (1, 2, 2))
            found.append(kind)
        except InapplicableError as reason:
            reasons.append(str(reason))
    if not found:
        raise InapplicableError(reasons[0])
    return LikelihoodSubject(part, options, effort, tuple(found))


def _assembly(part: type[Likelihood], options: Options, kind: Kind, shape: tuple[int, ...]) -> Assembly:
    images = KitImages(KitImagesOptions(pixels=kind, shape=shape))
    return bench.assembly(2, {"likelihood": options}, likelihood=part, family=KitGaussian, dataset=images)
