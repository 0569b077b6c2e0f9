"""What the command line prints of plans, parts and runs."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from latentbench.errors import UserError, shortened
from latentbench.execution.progress import duration
from latentbench.execution.speeds import expected, speeds
from latentbench.registry import KINDS, load_registry
from latentbench.reporting.status import Status
from latentbench.results.store import Store
from latentbench.results.tables import TABLES
from latentbench.suites.expand import Unplanned
from latentbench.suites.labels import joined
from latentbench.suites.plan import Plan, Planned

MOST_QUEUED = 10
"""How many queued runs are listed."""


def print_plan(plan: Plan, store: Store) -> None:
    """Every run with its id and state, combinations that are left out, and totals."""
    known = speeds(store)
    body = [(i.run.id, *_shown(i), i.run.seed, _further(i), _length(i), _seconds(i, known), _state(i)) for i in plan.runs]
    header = ("run", "family", "estimator", "dataset", "networks", "K", "seed", "further", "length", "expected", "state")
    print(tabulate(body, header, tablefmt="simple", disable_numparse=True))
    for words, reason, n in _without_seeds(plan.inapplicable):
        print(f"left out: {words}: {reason}" + (f" ({n} combinations)" if n > 1 else ""))
    for line in plan.unmeasured:
        print(f"left out: {line}")
    for item in plan.blocked:
        print(f"blocked:  {_words(item.settings)}: {item.reason}")
    counts = Counter(item.state for item in plan.runs)
    print(f"\n{plan.name}: {plan.description}" if plan.description else "")
    print(f"{len(plan.runs)} distinct runs ({', '.join(f'{n} {state}' for state, n in sorted(counts.items())) or 'none'})", end="")
    print(f", {len(plan.inapplicable)} combinations left out, {len(plan.blocked)} blocked; {plan.models} models that differ in more than the seed")
    if plan.expect:
        print(f"to be compared with {', '.join(plan.expect)}")
    for note in plan.notes:
        print(f"note: {note}")


def print_parts(kind: str | None) -> None:
    """What plugins provide, by kind; then the plugins that could not be loaded."""
    registry = load_registry()
    for name in [kind] if kind else KINDS:
        print(f"{name}:" if kind is None else "", end="\n" if kind is None else "")
        body = []
        for part in sorted(registry.parts[name].values(), key=lambda p: p.name):
            options = ", ".join(f"{key}={field.get_default(call_default_factory=True)}" for key, field in part.options_model.model_fields.items())
            summary = (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")
            body.append((part.name, part.version, registry.providers[part], options, shortened(summary, 90)))
        print(tabulate(body, ("name", "version", "plugin", "options", "what it is"), tablefmt="simple", disable_numparse=True))
        print() if kind is None else None
    for plugin, reason in sorted(registry.broken.items()):
        print(f"could not be loaded: plugin '{plugin}': {reason}")


def print_runs(results: Path) -> None:
    """Every stored run in a line."""
    store = _stored(results)
    frame = store.read(
        "runs", ["run_id", "status", "family", "estimator", "dataset", "encoder", "decoder", "latent_dim", "beta", "seed", "wall_seconds"]
    )
    frame = frame.astype(object).where(frame.notna(), "")
    print(tabulate(frame.to_records(index=False).tolist(), list(frame.columns), tablefmt="simple", floatfmt=".4g"))
    print(f"\n{len(frame)} runs in {results}")


def print_run(results: Path, prefix: str) -> None:
    """All that is stored of one run."""
    store = _stored(results)
    runs = store.read("runs")
    found = runs[[run_id.startswith(prefix) for run_id in runs["run_id"]]]
    if len(found) != 1:
        several = f"{len(found)} runs begin with '{prefix}': {', '.join(found['run_id'].head(5))}" if len(found) else f"no run begins with '{prefix}'"
        raise UserError(f"{results}: {several}; `latentbench list runs --results {results}` lists all {len(runs)}")
    row = found.iloc[0].dropna()
    print(tabulate([(key, _pretty(value)) for key, value in row.items()], tablefmt="plain", disable_numparse=True))
    titles = store.evaluation_titles()
    _print_rows(store, "evaluations", row["run_id"], ["evaluation_id", "version", "started", "seconds", "host"], titles)
    _print_rows(store, "metrics", row["run_id"], [name for name in TABLES["metrics"] if not name.startswith(("run", "evaluation"))], titles)


def _print_rows(store: Store, table: str, run_id: str, columns: Sequence[str], titles: Mapping[str, str]) -> None:
    """The rows that a table has of a run, each with the evaluation and its options."""
    rows = store.read(table)
    mine = rows[rows["run_id"] == run_id]
    if len(mine):
        plain = mine.astype(object).where(mine.notna(), "").to_dict("records")
        body = [(titles.get(row["evaluation_id"], row["evaluation"]), *(row[name] for name in columns)) for row in plain]
        print("\n" + tabulate(body, ("evaluation", *columns), tablefmt="simple", floatfmt=".5g"))


def _stored(results: Path) -> Store:
    """The store of a folder that has results."""
    store = Store(results)
    if not store.exists():
        raise UserError(f"results folder {results} has no results" + ("" if results.exists() else " (it does not exist)"))
    return store


def print_status(results: Path, status: Status) -> None:
    """Counts, running runs in a table, the next queued ones, interrupted ones by id."""
    counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(status.counts.items())) or "no run has ended"
    print(f"{results}: {counts}; {len(status.running)} running, {len(status.queued)} queued, {len(status.interrupted)} interrupted")
    if status.running:
        body = [
            (
                r.run_id,
                r.what,
                r.host,
                str(r.pid),
                r.since,
                "" if r.step is None else f"{r.step}/{r.steps}",
                "" if r.seconds_left is None else duration(r.seconds_left),
            )
            for r in status.running
        ]
        print_table(body, ("run", "what", "host", "process", "since", "step", "left"))
    for run_id, what in list(status.queued.items())[:MOST_QUEUED]:
        print(f"queued: {run_id} {what}")
    if len(status.queued) > MOST_QUEUED:
        print(f"queued: and {len(status.queued) - MOST_QUEUED} more")
    for run_id in status.interrupted:
        print(f"interrupted: {run_id}; `latentbench run` of its suite goes on with it")


def print_table(body: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """A plain table of words."""
    print(tabulate(body, header, tablefmt="simple", disable_numparse=True))


def _pretty(value: Any) -> str:
    """A column's value; nested settings as `key: value` pairs."""
    if isinstance(value, str) and value.startswith("{"):
        return "\n".join(f"{key}: {inner}" for key, inner in json.loads(value).items()) or "-"
    return str(value)


def _without_seeds(items: Iterable[Unplanned]) -> list[tuple[str, str, int]]:
    """Combinations that are left out, in words, with the reason, each once, and for how many seeds."""
    counts = Counter((_words({**item.settings, "seed": None}), item.reason) for item in items)
    return [(words, reason, n) for (words, reason), n in counts.items()]


def _words(settings: Mapping[str, Any]) -> str:
    return " ".join(str(settings[key]) for key in ("family", "estimator", "dataset", "encoder", "decoder", "seed") if settings.get(key) is not None)


def _shown(item: Planned) -> tuple[str, ...]:
    """The settings of a run that have a column of their own, less the seed."""
    return item.run.family, item.run.estimator or "", item.run.dataset, _networks(item), str(item.run.latent_dim)


def _further(item: Planned) -> str:
    """The settings without a column of their own that tell it from other runs of the suite."""
    return joined({name: value for name, value in item.varying.items() if name not in ("latent_dim", "training.steps", "training.epochs")})


def _networks(item: Planned) -> str:
    return "|".join(name for name in (item.run.encoder, item.run.decoder) if name)


def _length(item: Planned) -> str:
    training = item.run.train_settings
    return f"{training.steps} steps" if training.steps else f"{training.epochs:g} epochs"


def _state(item: Planned) -> str:
    return f"{item.state} ({item.why})" if item.why else item.state


def _seconds(item: Planned, known: Mapping[tuple[str, ...], float]) -> str:
    """Expected wall seconds; empty where nothing like it was run."""
    seconds = expected(item.run, known, 0.0)
    return f"{seconds:.1f} s" if seconds else ""
