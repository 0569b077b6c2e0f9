"""What an evaluation returns: numbers, numbers per latent and per image, arrays and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """One number on one split. `standard_error` is over `n` units of the metric (images, latents, draws); an index tells curves' points apart."""

    name: str
    value: float
    split: str = "validation"
    standard_error: float | None = None
    n: int | None = None
    index_name: str | None = None
    index: float | None = None

    @classmethod
    def mean(cls, name: str, values: Tensor, split: str = "validation") -> Metric:
        """The mean of `values` [N] with its standard error."""
        values = values.double()
        error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
        return cls(name, float(values.mean()), split, error, len(values))

    def at(self, index_name: str, index: float) -> Metric:
        """The same number as a point of a curve."""
        return replace(self, index_name=index_name, index=index)


@dataclass(frozen=True)
class PerUnit:
    """A metric of every latent (or unit): `values` [K]."""

    name: str
    values: Tensor
    split: str = "validation"


@dataclass(frozen=True)
class PerImage:
    """A metric of every image of a split, in its order: `values` [N]. Models that are compared on one split are compared image by image."""

    name: str
    values: Tensor
    split: str = "validation"


@dataclass(frozen=True)
class Outcome:
    """What an evaluation returns: numbers (at least one), numbers per latent and per image, arrays for figures, and pictures as bytes.

    A picture is grey, [H, W], or red, green and blue, [H, W, 3].
    """

    metrics: Sequence[Metric]
    units: Sequence[PerUnit] = ()
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    images: Sequence[PerImage] = ()
