"""Words for models: the settings that tell the runs of a page apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from latentbench.results.selection import column_of, settings_of

FIRST = ("dataset", "family", "estimator", "encoder", "decoder", "latent_dim", "beta")
"""Settings that name models before others do."""
PROVENANCE = ("plugins.", "dataset_sources.")
"""Columns that say where a run comes from; settings they are not."""
PLAIN = ("dataset", "family", "estimator")
"""Settings whose values say by themselves what they are."""


def naming(runs: pd.DataFrame) -> list[str]:
    """The settings that tell runs apart, but for their seeds: each splits what those before it leave together."""
    groups, count, names = np.zeros(len(runs), dtype=np.int64), 1, []
    candidates = [*FIRST, *(name for name in settings_of(runs) if name not in FIRST and not name.startswith(PROVENANCE))]
    for name in candidates:
        codes = pd.factorize(column_of(runs, name))[0]
        split, found = pd.factorize(groups * (codes.max(initial=0) + 1) + codes)
        if len(found) > count:
            groups, count = split, len(found)
            names.append(name)
    return names


def named(runs: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The runs with `model`, short words for those settings, and the settings as texts in `settings`, a tuple in their order."""
    texts = {name: column_of(runs, name) for name in names}
    plain = [texts[name] for name in names if name in PLAIN]
    others = [
        column.map(lambda text, name=name: f"{name.rpartition('.')[2]}={text}" if text else "") for name, column in texts.items() if name not in PLAIN
    ]
    words = [" ".join(filter(None, row)) for row in zip(*plain, *others, strict=True)] if names else ["all"] * len(runs)
    settings = list(zip(*texts.values(), strict=True)) if names else [()] * len(runs)
    return runs.assign(model=pd.Series(words, index=runs.index, dtype=object), settings=pd.Series(settings, index=runs.index, dtype=object))
