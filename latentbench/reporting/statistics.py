"""The statistics of a leaderboard's cell, from the values of its seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import nan

import numpy as np

CONFIDENCE = 0.99
CAPTION = f"mean ± {100 * CONFIDENCE:g} % Student t interval over seeds"
"""What a cell over seeds shows, for the note below a table."""
Values = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Cell:
    """A mean over `n` seeds and the half-width of its interval, or a summary as published (`n` is None); `missing` seeds failed.

    Every field is a column of the CSV form.
    """

    mean: float
    interval: float | None
    n: int | None
    missing: int = 0

    @property
    def empty(self) -> bool:
        """Whether every seed failed, so that there is no mean."""
        return self.n == 0


def over_seeds(values: Values, missing: int = 0) -> Cell:
    """The cell of the values of `n` seeds [n]; `missing` more have none."""
    n = len(values)
    return Cell(float(values.mean()) if n else nan, half_width(values), n, missing)


def half_width(values: Values) -> float | None:
    """Half the width of the Student t interval of the mean, t(n - 1) s / sqrt(n); None for fewer than two values."""
    n = len(values)
    return float(_t(n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else None


@cache
def _t(freedom: int) -> float:
    from scipy.special import stdtrit  # a tenth of a second that only intervals take

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
