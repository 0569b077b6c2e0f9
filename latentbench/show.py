"""What the command line prints of plans, parts and runs."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tabulate import tabulate

from latentbench.errors import UserError
from latentbench.plan import Plan, Planned, Unplanned, dotted
from latentbench.progress import duration
from latentbench.registry import KINDS, load_registry
from latentbench.speeds import expected, speeds
from latentbench.status import Status
from latentbench.store import Store

MOST_QUEUED = 10
"""How many queued runs are listed."""


def print_plan(plan: Plan, store: Store) -> None:
    """Every run with its id and state, combinations that are left out, and totals."""
    known = speeds(store)
    body = [
        (i.run.id, *_shown(i), i.run.seed, further, _length(i), _seconds(i, known), _state(i))
        for i, further in zip(plan.runs, _further(plan.runs), strict=True)
    ]
    header = ("run", "family", "estimator", "dataset", "networks", "K", "seed", "further", "length", "expected", "state")
    print(tabulate(body, header, tablefmt="simple", disable_numparse=True))
    for words, reason, n in _without_seeds(plan.inapplicable):
        print(f"left out: {words}: {reason}" + (f" ({n} seeds)" if n > 1 else ""))
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


def print_parts(kind: str | None) -> None:
    """What plugins provide, by kind; then the plugins that could not be loaded."""
    registry = load_registry()
    for name in [kind] if kind else KINDS:
        print(f"{name}:" if kind is None else "", end="\n" if kind is None else "")
        body = []
        for part in sorted(registry.parts[name].values(), key=lambda p: p.name):
            options = ", ".join(f"{key}={field.get_default(call_default_factory=True)}" for key, field in part.options_model.model_fields.items())
            summary = (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")
            body.append((part.name, part.version, registry.providers[part], options, _shortened(summary, 90)))
        print(tabulate(body, ("name", "version", "plugin", "options", "what it is"), tablefmt="simple", disable_numparse=True))
        print() if kind is None else None
    for plugin, reason in sorted(registry.broken.items()):
        print(f"could not be loaded: plugin '{plugin}': {reason}")


def print_runs(results: Path) -> None:
    """Every stored run in a line."""
    store = Store(results)
    if not store.exists():
        raise UserError(f"results folder {results} has no results" + ("" if results.exists() else " (it does not exist)"))
    frame = store.read(
        "runs", ["run_id", "status", "family", "estimator", "dataset", "encoder", "decoder", "latent_dim", "beta", "seed", "wall_seconds"]
    )
    frame = frame.astype(object).where(frame.notna(), "")
    print(tabulate(frame.to_records(index=False).tolist(), list(frame.columns), tablefmt="simple", floatfmt=".4g"))
    print(f"\n{len(frame)} runs in {results}")


def print_run(results: Path, prefix: str) -> None:
    """All that is stored of one run."""
    store = Store(results)
    runs = store.read("runs")
    found = runs[runs["run_id"].str.startswith(prefix)]
    if len(found) != 1:
        several = f"{len(found)} runs begin with '{prefix}': {', '.join(found['run_id'].head(5))}" if len(found) else f"no run begins with '{prefix}'"
        raise UserError(f"{results}: {several}; `latentbench list runs --results {results}` lists all {len(runs)}")
    row = found.iloc[0].dropna()
    print(tabulate([(key, _pretty(value)) for key, value in row.items()], tablefmt="plain", disable_numparse=True))
    metrics = store.read("metrics")
    mine = metrics[metrics["run_id"] == row["run_id"]].drop(columns=["run_id", "evaluation_id"])
    mine = mine.astype(object).where(mine.notna(), "")
    if len(mine):
        print("\n" + tabulate(mine.to_records(index=False).tolist(), list(mine.columns), tablefmt="simple", floatfmt=".5g"))


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


def _further(items: Sequence[Planned]) -> list[str]:
    """For every run the settings without a column of their own that tell it from runs alike in the others."""
    alike: dict[tuple[str, ...], list[dict[str, str]]] = {}
    settings = [{key: str(value) for key, value in dotted(item.run).items() if key != "seed"} for item in items]
    for item, mine in zip(items, settings, strict=True):
        alike.setdefault(_shown(item), []).append(mine)
    varying = {key: {name for name in {*chain(*group)} if len({one.get(name) for one in group}) > 1} for key, group in alike.items()}
    return [
        " ".join(f"{name.rpartition('.')[2]}={mine[name]}" for name in sorted(varying[_shown(item)] & mine.keys()))
        for item, mine in zip(items, settings, strict=True)
    ]


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


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
