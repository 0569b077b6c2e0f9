"""What stored metrics mean, as it was declared when they were measured: needs no plugins."""

from __future__ import annotations

import json
from collections.abc import Iterable

from latentbench.measure import Measure


def declarations_in(texts: Iterable[str | None]) -> dict[str, Measure]:
    """Metric -> its declaration, from values of the column `metrics` of `evaluations`; where they differ, the last in order.

    Fields that a declaration lacks, as those of older versions may, say nothing; what is no declaration is left out.
    """
    found: dict[str, Measure] = {}
    for text in sorted(filter(None, texts)):
        for name, said in json.loads(text).items():
            measure = _measure(said)
            if measure is not None:
                found[name] = measure
    return found


def _measure(said: object) -> Measure | None:
    if not isinstance(said, dict) or said.get("better") not in ("lower", "higher", None):
        return None
    unit, meaning, index = said.get("unit", ""), said.get("meaning", ""), said.get("index")
    if not (isinstance(unit, str) and isinstance(meaning, str) and isinstance(index, (str, type(None)))):
        return None
    return Measure(said.get("better"), unit, meaning, index, bool(said.get("less_constant")), bool(said.get("of_kl")))
