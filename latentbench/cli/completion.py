"""What the shell completes: settings, their values in the suite at hand, and stored metrics.

Nothing here imports torch or the plugins, which takes seconds: names come from the settings' model, from the suite file, and from the results folder.
While an option lacks its value, arguments are in `args` of the context.
Where names cannot be found out nothing is completed: a shell has no place for a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from latentbench.errors import flagged

MAX_FILES = 50
"""Files of the table of metrics that are read for their names."""


def change(context: typer.Context, incomplete: str) -> list[str]:
    """`KEY=` or `KEY=VALUE` of `--set` and `--only`; the values are those that the suite sweeps."""
    axes = _axes(context)
    key, sign, values = incomplete.partition("=")
    before, comma, _ = values.rpartition(",")
    chosen = (f"{key}={before}{comma}{flagged(value)}" for value in axes.get(key, []))
    candidates = chosen if sign else (f"{name}=" for name in sorted({*_settings(), *axes}))
    return [word for word in dict.fromkeys(candidates) if word.startswith(incomplete)]


def names(context: typer.Context, incomplete: str) -> list[str]:
    """Settings of `--rows` and `--columns`, with a comma between them."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in sorted({*_settings(), *_axes(context)}) if name.startswith(last)]


def metric(context: typer.Context, incomplete: str) -> list[str]:
    """Metrics that the results folders have."""
    return _stored(context, "metric", incomplete)


def evaluation(context: typer.Context, incomplete: str) -> list[str]:
    """Evaluations that have measured in the results folders; others are known to plugins alone."""
    return _stored(context, "evaluation", incomplete)


def _stored(context: typer.Context, column: str, incomplete: str) -> list[str]:
    """The values of a column of the results folders' table of metrics that begin so."""
    try:
        import pyarrow.parquet as pq

        given = context.args or context.params.get("results") or ["results"]
        folders = given if isinstance(given, list) else [given]
        files = [path for folder in folders for path in sorted(Path(folder, "metrics").glob("[!.]*.parquet"))]
        found = {str(name) for path in islice(files, MAX_FILES) for name in pq.read_table(path, columns=[column])[column].unique().to_pylist()}
    except Exception:  # nothing to complete, and no place to say why
        return []
    return sorted(name for name in found if name.startswith(incomplete))


def _settings() -> Iterable[str]:
    """Every setting of a run but the options of parts, which only their plugins know."""
    from latentbench.suites.settings import Settings, Training
    from latentbench.suites.sweep import NESTED

    return [*(name for name in Settings.model_fields if name not in NESTED), *(f"training.{name}" for name in Training.model_fields)]


def _axes(context: typer.Context) -> Mapping[str, list[Any]]:
    """The values of every setting that the suite on the command line names."""
    from latentbench.suites.suite import load_suite

    path = context.params.get("suite") or next(iter(context.args), None)
    try:
        sweeps = load_suite(Path(path)).sweeps if path else ()
    except Exception:  # as above
        return {}
    found: dict[str, list[Any]] = {}
    for sweep in sweeps:
        for key, values in {**sweep.axes, **sweep.zipped}.items():
            found.setdefault(key, []).extend(values if isinstance(values, list) else [values])
    return found
