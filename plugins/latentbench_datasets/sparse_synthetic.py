"""`sparse_synthetic`: sums of known dictionary elements, weighted by sparse causes of a known distribution, under noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Generator, Tensor

from latentbench.api import DataSet, Options, Split, Splits, stream
from latentbench_datasets.synthetic import SyntheticOptions

FREQUENCIES = (0.1, 0.3)
"""Range of the frequencies of Gabor elements, in cycles per pixel, uniform in octaves."""
CYCLES = (0.3, 0.5)
"""Standard deviations of the envelope of Gabor elements across and along their stripes, in cycles."""


class SparseSyntheticOptions(SyntheticOptions):
    """Options of `sparse_synthetic`."""

    causes: Literal["poisson", "gaussian", "laplace"] = Field(
        "laplace", description="Distribution of the causes that are not zero; of `poisson`, of all."
    )
    elements: int = Field(64, ge=1, description="Elements of the dictionary, and causes of an image.")
    side: int = Field(8, ge=2, le=64, description="Rows, and columns, of an image.")
    dictionary: Literal["random", "gabor"] = Field("random", description="`random`: directions that are all as likely; `gabor`: Gabor functions.")
    rate: float = Field(0.1, gt=0, description="Mean count of a Poisson cause; probability that another cause is not zero, 1 at most.")
    amplitude: float = Field(4.0, gt=0, description="Norm of an element of the dictionary.")

    @field_validator("rate")
    @classmethod
    def _is_a_probability(cls, rate: float, info: ValidationInfo) -> float:
        if info.data.get("causes") != "poisson" and rate > 1:
            raise ValueError("the rate of causes that are not Poisson is a probability, 1 at most")
        return rate


class SparseSynthetic(DataSet):
    """Images Phi s + noise of causes s: Poisson counts, or Gaussian or Laplace numbers of mean 0 and variance 1, most of which are set to 0.

    The elements of Phi have one norm. Gaussian causes that are never 0 (`rate: 1`) tell no dictionary from its rotations: nothing can recover it.
    """

    name = "sparse_synthetic"
    options_model = SparseSyntheticOptions
    data_shape: tuple[int, ...] = (1, 8, 8)
    defaults = {"likelihood": "gaussian"}
    has_test = True
    has_truth = True

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        assert isinstance(self.options, SparseSyntheticOptions)
        self.chosen = self.options
        self.data_shape = (1, self.chosen.side, self.chosen.side)

    def load(self, cache: Path) -> Splits:
        """Draw the dictionary and every split, each from its own stream; there is nothing to cache."""
        o, generator = self.chosen, self._stream("dictionary")
        elements = (
            gabor_elements(o.elements, o.side, generator) if o.dictionary == "gabor" else torch.randn(o.elements, o.side**2, generator=generator)
        )
        phi = (o.amplitude * elements / elements.norm(dim=1, keepdim=True)).T.contiguous()
        return Splits(*(self._split(name, n, phi) for name, n in o.images.items()), dictionary=phi)

    def _stream(self, what: str) -> Generator:
        return stream(self.chosen.seed, self.name, self.version, what)

    def _split(self, name: str, n: int, phi: Tensor) -> Split:
        o, generator = self.chosen, self._stream(name)
        causes = draw_causes(o.causes, o.rate, (n, o.elements), generator)
        noise = torch.randn(n, len(phi), generator=generator)
        return Split((causes @ phi.T + o.noise * noise).reshape(n, *self.data_shape), causes=causes)


def draw_causes(kind: str, rate: float, shape: tuple[int, int], generator: Generator) -> Tensor:
    """Causes [N, L] of a kind: counts of mean `rate`, or numbers of variance 1 that are 0 with the probability 1 - `rate`."""
    if kind == "poisson":
        return torch.poisson(torch.full(shape, rate), generator=generator)
    there = torch.rand(shape, generator=generator) < rate
    if kind == "gaussian":
        return there * torch.randn(shape, generator=generator)
    u = torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5  # the inverse of the distribution function, with u in [-1/2, 1/2)
    return there * (-u.sign() * torch.log1p(-2 * u.abs().clamp(max=0.5 - 1e-12)) / math.sqrt(2)).float()


def gabor_elements(n: int, side: int, generator: Generator) -> Tensor:
    """Gabor functions [n, side^2] whose centre, orientation, frequency and phase are uniform, the frequency in octaves."""
    x, y, turn, octave, phase = torch.rand(5, n, 1, 1, generator=generator)
    theta, frequency = math.pi * turn, FREQUENCIES[0] * (FREQUENCIES[1] / FREQUENCIES[0]) ** octave
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    across = (columns - x * (side - 1)) * theta.cos() + (rows - y * (side - 1)) * theta.sin()
    along = -(columns - x * (side - 1)) * theta.sin() + (rows - y * (side - 1)) * theta.cos()
    envelope = torch.exp(-0.5 * (frequency / CYCLES[0] * across).square() - 0.5 * (frequency / CYCLES[1] * along).square())
    return (envelope * torch.cos(2 * math.pi * (frequency * across + phase))).flatten(1)
