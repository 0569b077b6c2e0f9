"""`relaxation_quality`: moments of relaxed Poisson counts and their distances from true ones ("A hitchhiker's guide", arXiv 2602.03896)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from latentbench.reporting import Measure, Options, Study, Summary

if TYPE_CHECKING:
    from torch import Tensor

RELAXATIONS = ("sigmoid", "linear", "cubic", "quintic", "cosine", "gumbel_softmax")
SMALL = {"rates": [0.5, 2.0, 10.0, 40.0], "temperatures": [0.05, 0.2, 0.5], "trials": 10, "samples": 5000}
PUBLISHED = {
    "rates": [0.1, 0.5, 1.0, 2.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 40.0, 70.0, 100.0],
    "temperatures": [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5],
    "trials": 100,
    "samples": 50_000,
}
"""The grids of the publication."""
GRIDS: Mapping[str, Mapping[str, Any]] = {"small": SMALL, "published": PUBLISHED}
CONFIDENCE = 0.99
LARGEST = {"rates": 10_000.0, "temperatures": 100.0}
"""Largest values of options: the sampler goes through as many arrivals as the product of a rate and the reach of an arrival."""


class RelaxationQualityOptions(Options):
    """Options of `relaxation_quality`."""

    grid: Literal["small", "published"] = Field(
        "small", description="Rates, temperatures, trials and samples where they are not given: a few, or those of the publication."
    )
    relaxations: list[str] = Field(default=list(RELAXATIONS), min_length=1, description="The relaxations.")
    rates: list[float] | None = Field(None, min_length=1, description="Rates of the counts.")
    temperatures: list[float] | None = Field(None, min_length=1, description="Temperatures.")
    trials: int | None = Field(None, ge=2, description="Independent repetitions, over which intervals are made.")
    samples: int | None = Field(None, ge=2, description="Relaxed and true counts of a trial.")
    tail: float = Field(1e-3, gt=0, le=0.01, description="Probability of a count above n_exp where sums are cut off; the publication's.")
    normalised: bool = Field(True, description="Divide distances by the root of the rate, the standard deviation of true counts.")
    dtype: Literal["float32", "float64"] = Field("float32", description="Of the counts. In bfloat16, the publication's, a rate of 100 is 99.")
    seed: int = Field(1, ge=0, description="Seed of all noise.")

    @field_validator("relaxations")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = [name for name in names if name not in RELAXATIONS]
        if unknown:
            raise ValueError(f"unknown relaxation '{unknown[0]}'; known: {', '.join(RELAXATIONS)}")
        return names

    @field_validator("rates", "temperatures")
    @classmethod
    def _within_reach(cls, values: list[float] | None, info: ValidationInfo) -> list[float] | None:
        largest = LARGEST[str(info.field_name)]
        wrong = [value for value in values or () if not 0 < value <= largest]
        if wrong:
            raise ValueError(f"expected numbers above 0 and at most {largest:g}, got {wrong[0]}")
        return values

    def of(self, name: str) -> Any:
        """An option, or what the grid has for it."""
        given = getattr(self, name)
        return GRIDS[self.grid][name] if given is None else given


class Cell(NamedTuple):
    """A relaxation at a temperature, cut off at n_exp or not."""

    relaxation: str
    temperature: float
    truncate: bool

    def __str__(self) -> str:
        return f"{self.relaxation} at temperature {self.temperature}, {'cut off at n_exp' if self.truncate else 'all arrivals'}"


class RelaxationQuality(Study):
    """Moments of relaxed Poisson counts over rate and temperature, with all arrivals and cut off at n_exp, and their Wasserstein distances from
    true counts.

    It looks at the sampler that `poisson` trains with, not at a model. The Gumbel-softmax is over finitely many counts, so it is only there cut off.
    """

    name = "relaxation_quality"
    options_model = RelaxationQualityOptions
    options: RelaxationQualityOptions
    metrics = {
        "mean_ratio": Measure(None, "none", "Mean of relaxed counts over the rate.", "rate"),
        "variance_ratio": Measure(None, "none", "Variance of relaxed counts over the rate.", "rate"),
        "wasserstein_1": Measure("lower", "none", "W1 of relaxed from true counts, over the root of the rate.", "rate"),
        "wasserstein_2": Measure("lower", "none", "W2 of relaxed from true counts, over the root of the rate.", "rate"),
        "wasserstein_1_floor": Measure(None, "none", "W1 of true from true counts, of as many samples.", "rate"),
        "wasserstein_2_floor": Measure(None, "none", "W2 of true from true counts, of as many samples.", "rate"),
        "effective_width": Measure(None, "none", "Share of the variance that a relaxation takes beyond what it does to the mean, with all arrivals."),
    }

    def pieces(self) -> dict[str, Callable[[], Iterator[Summary]]]:
        """Exact widths, and for every rate the floors of distances and every relaxation."""
        found = {"effective widths": self._widths}
        for rate in self.options.of("rates"):
            found[f"rate {rate}: floors"] = partial(self._floors, rate)
            for cell in self._cells():
                found[f"rate {rate}: {cell}"] = partial(self._cell, rate, cell)
        return found

    def _widths(self) -> Iterator[Summary]:
        from latentbench.api import effective_width

        for cell in self._cells():
            yield Summary("effective_width", effective_width(cell.relaxation, cell.temperature), self._settings(cell))  # type: ignore[arg-type]

    def _floors(self, rate: float) -> Iterator[Summary]:
        distances = self._distances(self._true(rate, "other"), self._true(rate, "true"), rate)
        settings = {"family": "poisson", "dtype": self.options.dtype}
        yield from _summaries(dict(zip(("wasserstein_1_floor", "wasserstein_2_floor"), distances, strict=True)), settings, rate)

    def _cell(self, rate: float, cell: Cell) -> Iterator[Summary]:
        yield from _summaries(self._quality(cell, rate), self._settings(cell), rate)

    def _cells(self) -> Iterator[Cell]:
        for relaxation in self.options.relaxations:
            for temperature in self.options.of("temperatures"):
                for truncate in (True,) if relaxation == "gumbel_softmax" else (True, False):
                    yield Cell(relaxation, temperature, truncate)

    def _settings(self, cell: Cell) -> dict[str, Any]:
        options = {"relaxation": cell.relaxation, "truncate": cell.truncate, **({"tail": self.options.tail} if cell.truncate else {})}
        about = {"family": "poisson", "dtype": self.options.dtype, "family_options": options}
        return {**about, "training": {"temperature_stop": cell.temperature}}

    def _quality(self, cell: Cell, rate: float) -> dict[str, Tensor]:
        """What every trial finds; all cells are held against the same true counts."""
        z, true = self._relaxed(cell, rate), self._true(rate, "true")
        ratios = {"mean_ratio": z.double().mean(1) / rate, "variance_ratio": z.double().var(1) / rate}
        return ratios | dict(zip(("wasserstein_1", "wasserstein_2"), self._distances(z, true, rate), strict=True))

    def _relaxed(self, cell: Cell, rate: float) -> Tensor:
        """Relaxed counts [trials, samples]."""
        from latentbench.api import UNLIMITED, arrivals_needed, relaxed_poisson, stream

        needed = arrivals_needed(rate, self.options.tail)
        n_exp = max(needed, 2) if cell.relaxation == "gumbel_softmax" else needed if cell.truncate else UNLIMITED
        generator = stream(self.options.seed, "relaxed", *map(str, (*cell, rate)))
        return relaxed_poisson(self._rates(rate), cell.temperature, n_exp, generator, cell.relaxation)  # type: ignore[arg-type]  # known by now

    def _true(self, rate: float, part: str) -> Tensor:
        """True counts [trials, samples]."""
        return _true_counts(self.options.seed, part, rate, self.options.of("trials"), self.options.of("samples"), self.options.dtype)

    def _rates(self, rate: float) -> Tensor:
        return _full(rate, self.options.of("trials"), self.options.of("samples"), self.options.dtype)

    def _distances(self, one: Tensor, other: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """W1 and W2 of two samples [trials, samples] in every trial, by sorting them."""
        apart = (one.sort(1)[0].double() - other.sort(1)[0].double()).abs()
        unit = rate**0.5 if self.options.normalised else 1.0
        return apart.mean(1) / unit, (apart * apart).mean(1).sqrt() / unit


@lru_cache(maxsize=1)  # all cells of a rate use the same
def _true_counts(seed: int, part: str, rate: float, trials: int, samples: int, dtype: str) -> Tensor:
    import torch

    from latentbench.api import stream

    return torch.poisson(_full(rate, trials, samples, dtype), generator=stream(seed, part, str(rate)))


def _full(rate: float, trials: int, samples: int, dtype: str) -> Tensor:
    import torch

    return torch.full((trials, samples), rate, dtype=getattr(torch, dtype))


def _summaries(found: Mapping[str, Tensor], settings: Mapping[str, Any], rate: float) -> Iterator[Summary]:
    """Means over trials, with Student t intervals."""
    from latentbench.reporting import half_width

    for metric, values in found.items():
        yield Summary(metric, float(values.mean()), settings, rate, half_width(values.tolist(), CONFIDENCE))
