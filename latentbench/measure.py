"""What a metric declares: which direction is better, its unit, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """The declaration of one metric.

    `index` names what tells the points of a curve apart; None for a metric that is a single number. `less_constant` says that values leave out the
    likelihood's constant, so that those of likelihoods whose constants differ cannot be compared; `of_kl` that the KL is part of the value, which is
    an estimate where the family estimates its KL.
    """

    better: Literal["lower", "higher"] | None
    unit: str
    meaning: str
    index: str | None = None
    less_constant: bool = False
    of_kl: bool = False


def measures_problem(attribute: str, measures: object) -> str | None:
    """What is wrong with the declarations of a part, as a clause that follows its name; None where nothing is."""
    if not (isinstance(measures, Mapping) and all(isinstance(name, str) and isinstance(m, Measure) for name, m in measures.items())):
        return f"has {attribute} = {measures!r}; it must be a mapping from metrics to Measure(better, unit, meaning)"
    for name, measure in measures.items():
        if measure.better not in ("lower", "higher", None):
            return f"declares the metric '{name}' with better = {measure.better!r}; it must be 'lower', 'higher' or None"
        if not all(isinstance(text, str) and text for text in (measure.unit, measure.meaning)):
            return f"declares the metric '{name}' without a unit or a meaning"
    return None
