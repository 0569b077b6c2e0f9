"""One stored run as text or JSON: what was measured first, then what it is, and where it comes from last."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentbench.errors import shortened
from latentbench.failure import Failure
from latentbench.files import listed
from latentbench.measure import Measure
from latentbench.numbers import duration
from latentbench.reporting.text import json_text, plain, size, table
from latentbench.results.arrow import records
from latentbench.results.declared_metrics import declarations_in
from latentbench.results.lookup import find_run, rows_of, stored
from latentbench.results.store import Store, title
from latentbench.results.tables import JSON, SETTINGS

PROVENANCE = (
    "git_dirty",
    "source",
    "plugins",
    "dataset_sources",
    "sources",
    "versions",
    "host",
    "device_name",
    "driver",
    "threads",
    "hardware",
    "numerics",
    "git_sha",
)
"""Columns of a run that say where it comes from, shown in full only."""
HEAD = ("run_id", "status", "failure_kind", "failure_message", "started", "evaluated", "wall_seconds")
"""Columns that the first lines tell."""
KNOWN = ("title", "run_id", "evaluation", "options", "metrics")
"""Columns of an evaluation that are shown with its metrics."""


@dataclass(frozen=True)
class Shown:
    """All that is stored of one run.

    Args:
        row: its row in `runs`; columns that hold JSON are parsed.
        failure: why it failed, or an evaluation of it.
        evaluations: its rows in `evaluations`, each with a `title`: the evaluation and its options.
        metrics: its rows in `metrics`, with the `title` of the evaluation, and `better`, `unit` and `meaning` as they were declared.
        files: what there is of it besides tables.
    """

    row: Mapping[str, Any]
    failure: Failure | None
    evaluations: Sequence[Mapping[str, Any]]
    metrics: Sequence[Mapping[str, Any]]
    files: Sequence[Path]


def shown(results: Path, prefix: str) -> Shown:
    """All that is stored of the run whose id begins with `prefix`.

    Raises:
        UserError: the folder has no results, or not exactly one such run, or something of the run cannot be read.
    """
    store = stored(results)
    run_id = find_run(store, prefix)
    (row,) = records(rows_of(store, "runs", run_id))
    evaluations = records(rows_of(store, "evaluations", run_id))
    metrics = records(rows_of(store, "metrics", run_id))
    declared = declarations_in(row["metrics"] for row in evaluations)
    titles = _titles(evaluations)
    return Shown(
        _parsed(row),
        Failure.from_row(row),
        [{"title": titles[e["evaluation_id"]], **_parsed(e)} for e in evaluations],
        [_with_meaning(metric, titles, declared.get(metric["metric"])) for metric in metrics],
        _files(store, run_id),
    )


def run_json(run: Shown) -> str:
    """A run as JSON: `run` (its row), `failure` (`kind`, `message`, `traceback`, or null), `metrics`, `evaluations` and `files`."""
    failure = run.failure and {"kind": str(run.failure.kind), "message": run.failure.message, "traceback": run.failure.traceback}
    return json_text({"run": run.row, "failure": failure, "metrics": run.metrics, "evaluations": run.evaluations, "files": run.files})


def run_text(run: Shown, full: bool = False, columns: int = 80) -> str:
    """A run in words, at most `columns` wide but for tracebacks and paths; with `full` its provenance too."""
    sections = [_head(run), *_measured(run, columns), _settings(run, columns), _traceback(run)]
    if full:
        sections += [_listing(plain(f"measured by {e['title']}, and by what the run comes from"), _measuring(e, run)) for e in run.evaluations]
        sections.append(_listing("the run comes from", _provenance(run)))
    sections.append(_folders(run.files))
    if not full:
        sections.append("--full shows versions, hashes of sources, hardware and the evaluations' ids")
    return "\n\n".join(filter(None, sections))


def _head(run: Shown) -> str:
    """The run in words, its outcome, and when, where and how long."""
    row = run.row
    networks = "|".join(row[name] for name in ("encoder", "decoder") if row[name])
    seed = None if row["seed"] is None else f"seed {row['seed']}"
    words = [row["family"], row["estimator"], row["dataset"], networks, seed]
    lines = [plain(" ".join(str(word) for word in (f"run {row['run_id']}:", *words) if word))]
    trained = "trained; " * (row["status"] == "done")
    lines.append(plain("done" if run.failure is None else f"{trained}failed: {run.failure}"))
    if row["started"] is not None:
        took = "" if row["wall_seconds"] is None else f", took {duration(row['wall_seconds'])}"
        where = "" if row["host"] is None else f" on {row['host']}"
        lines.append(plain(f"started {row['started']:%Y-%m-%d %H:%M} UTC{where}{took}"))
    return "\n".join(lines)


def _measured(run: Shown, columns: int) -> Iterable[str]:
    """A table for each evaluation and split; evaluations whose names and options are the same are told apart by their ids."""
    ids: dict[str, set[str]] = {}
    for metric in run.metrics:
        ids.setdefault(metric["title"], set()).add(metric["evaluation_id"])
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for metric in run.metrics:
        name = metric["title"] if len(ids[metric["title"]]) == 1 else f"{metric['title']}, {metric['evaluation_id']}"
        groups.setdefault((name, metric["split"]), []).append(metric)
    for (name, split), metrics in sorted(groups.items()):
        yield f"{plain(f'{name} on {split}')}\n{_numbers(metrics, columns)}"


def _numbers(metrics: Sequence[Mapping[str, Any]], columns: int) -> str:
    """Metrics in a table: the points of a curve are below its name, with their index."""
    lines = [("metric", "value", "s.e.", "n", "unit")]
    for name in dict.fromkeys(metric["metric"] for metric in metrics):
        points = sorted((m for m in metrics if m["metric"] == name), key=lambda m: (m["index"] is not None, m["index"]))
        unit = points[0]["unit"] or ""
        if points[0]["index_name"] is None:
            lines += [(name, *_values(point), unit) for point in points]
        else:
            lines.append((name, "", "", "", unit))
            lines += [(f"  at {point['index_name']} {point['index']:g}", *_values(point), "") for point in points]
    first, *numbers = (max(len(line[i]) for line in lines) for i in range(4))
    room = max(columns - first - sum(numbers) - 10, 12)
    return "\n".join(_aligned(line, first, numbers, room) for line in lines)


def _aligned(line: Sequence[str], first: int, numbers: Sequence[int], room: int) -> str:
    name, *values, unit = map(plain, line)
    cells = [f"  {name:<{first}}", *(f"{value:>{width}}" for value, width in zip(values, numbers, strict=True)), shortened(unit, room)]
    return "  ".join(cells).rstrip()


def _values(metric: Mapping[str, Any]) -> tuple[str, str, str]:
    error, n = metric["standard_error"], metric["n"]
    return f"{metric['value']:.6g}", "" if error is None else f"{error:.2g}", "" if n is None else str(n)


def _settings(run: Shown, columns: int) -> str:
    """What was trained, and what that took."""
    rows = [(key, value) for name in SETTINGS for key, value in _flat(name, run.row[name])]
    rest = [name for name in run.row if name not in (*SETTINGS, *HEAD, *PROVENANCE)]
    rows += [(name, f"{size(run.row[name])}" if name.endswith("bytes") else _short(run.row[name])) for name in rest if run.row[name] is not None]
    return _listing("settings and cost", [(key, shortened(str(value), max(columns - 32, 20))) for key, value in rows])


def _provenance(run: Shown) -> list[tuple[str, str]]:
    return [(key, value) for name in PROVENANCE for key, value in _flat(name, run.row[name])]


def _measuring(evaluation: Mapping[str, Any], run: Shown) -> list[tuple[str, str]]:
    """How an evaluation measured, but for what its run says already: hashes and versions that are the same."""
    rows = [row for name, value in evaluation.items() if name not in KNOWN for row in _flat(name, value)]
    return [row for row in rows if row not in set(_provenance(run))]


def _listing(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return f"{title}\n" + "\n".join(f"  {line}".rstrip() for line in table(rows, style="plain").splitlines()) if rows else ""


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    """A column as rows: a mapping in one for each of its entries, a missing value in none."""
    if isinstance(value, Mapping):
        return [(f"{name}.{key}", _short(inner)) for key, inner in value.items()]
    return [] if value is None else [(name, _short(value))]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _traceback(run: Shown) -> str:
    """The traceback of a failure, line by line, and where to read what the run printed."""
    if run.failure is None:
        return ""
    logs = [str(path) for path in run.files if path.suffix == ".log"]
    told = [f"what it printed is in {plain(logs[0])}"] if logs else []
    return "\n".join([*(f"  {plain(line)}" for line in run.failure.traceback.splitlines()), *told])


def _folders(files: Sequence[Path]) -> str:
    """Files in a line for each folder."""
    there: dict[Path, list[str]] = {}
    for path in files:
        there.setdefault(path.parent, []).append(path.name)
    return "\n".join(plain(f"{folder}: {', '.join(names)}") for folder, names in there.items())


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose JSON is parsed."""
    nested = JSON | {"sources"}
    return {key: json.loads(value) if key in nested and isinstance(value, str) else value for key, value in row.items()}


def _titles(evaluations: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Evaluation id -> name and options, as `knn(readout=mean)`."""
    return {e["evaluation_id"]: title(e["evaluation"], json.loads(e["options"] or "{}")) for e in evaluations}


def _with_meaning(metric: Mapping[str, Any], titles: Mapping[str, str], declared: Measure | None) -> dict[str, Any]:
    meaning = {name: getattr(declared, name, None) for name in ("better", "unit", "meaning")}
    return {"title": titles.get(metric["evaluation_id"], metric["evaluation"]), **metric, **meaning}


def _files(store: Store, run_id: str) -> list[Path]:
    """The files of a run besides tables: models, arrays, pictures, and what it printed, where that can be read."""
    models = [path for path in listed(store.path / "checkpoints", ".safetensors") if path.stem.partition("@")[0] == run_id]
    log = store.log_path(run_id)
    return [
        *models,
        *(path for kind in ("arrays", "pictures") for path in listed(store.path / kind / run_id)),
        *([log] if os.path.exists(log) else []),
    ]
