"""A plan as text or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import nan
from typing import Any

from latentbench.execution.speeds import expected, speeds
from latentbench.reporting.costs import Costs, costs_json, costs_text
from latentbench.reporting.text import json_text, plain, size, table
from latentbench.reporting.why import reasons
from latentbench.results.disk import Disk, disk
from latentbench.results.snapshot import Snapshot
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.expand import Unplanned
from latentbench.suites.labels import dotted, joined
from latentbench.suites.plan import Plan, Planned

IN_COLUMNS = ("latent_dim", "training.steps", "training.epochs")
"""Settings that may tell runs apart and have a column of their own."""
MAX_RUNS_SHOWN = 3
"""How many runs of a reason are named; the others are counted."""


def plan_text(plan: Plan, snapshot: Snapshot, why: bool = False, costs: Costs | None = None) -> str:
    """Every run with its id and state, combinations that are left out, and totals; with `why` what keeps runs from being done; `costs` at the end."""
    columns = _columns(speeds(snapshot))
    return "\n".join(
        [
            table([[column(item) for column in columns.values()] for item in plan.runs], list(columns)),
            *(_why(plan, snapshot) if why else []),
            *_left_out(plan),
            f"\n{plan.name}: {plan.description}" if plan.description else "",
            _totals(plan),
            _space(disk(plan, snapshot.store)),
            *([f"to be compared with {', '.join(plan.expect)}"] if plan.expect else []),
            *(f"note: {note}" for note in plan.notes),
            *([costs_text(costs)] if costs is not None else []),
        ]
    )


def plan_json(plan: Plan, snapshot: Snapshot, costs: Costs | None = None) -> str:
    """A plan as JSON. Names are added in later versions, and keep their meaning.

    `name`, `description`, `expect` and `notes` are the suite's; `counts` has the number of runs by state, and `disk` bytes. A run of `runs` has `id`,
    `label`, `settings` (dotted), `state`, `why` (clauses), `expected_seconds` (null where none like it is stored), `evaluations`, and of these those
    that are `lacking` and `outdated`, by `id` and `title`. `left_out` and `blocked` have the `settings` and the `reason` of combinations that are not
    run, `unmeasured` a line for every evaluation that does not apply. `time` has the `costs`, as `costs_json` says, or null.
    """
    known, why = speeds(snapshot), reasons(plan, snapshot)
    about = {name: getattr(plan, name) for name in ("name", "description", "expect", "notes")}
    runs = [{**_run(item), "why": why.get(item.run.id, []), "expected_seconds": expected(item.run, known, nan)} for item in plan.runs]
    unplanned = {"left_out": plan.inapplicable, "blocked": plan.blocked}
    left_out = {name: [{"settings": item.settings, "reason": item.reason} for item in items] for name, items in unplanned.items()}
    needed = disk(plan, snapshot.store)
    space = {name: getattr(needed, name) for name in ("total", "models", "kept", "arrays", "unknown", "unbuilt")}
    time = None if costs is None else costs_json(costs)
    return json_text({**about, "counts": _counts(plan), "runs": runs, **left_out, "unmeasured": plan.unmeasured, "disk": space, "time": time})


def _run(item: Planned) -> dict[str, Any]:
    """What JSON says of a run by itself."""
    return {
        "id": item.run.id,
        "label": item.label,
        "settings": dotted(item.run),
        "state": str(item.state.kind),
        "evaluations": _named(item.evaluations),
        "lacking": _named(item.state.lacking),
        "outdated": _named(item.state.outdated),
    }


def _named(evaluations: Iterable[EvaluationPlan]) -> list[dict[str, str]]:
    return [{"id": evaluation.id, "title": str(evaluation)} for evaluation in evaluations]


def _why(plan: Plan, snapshot: Snapshot) -> list[str]:
    """For every state and reason the runs that have it, in two lines."""
    kinds = {item.run.id: str(item.state.kind) for item in plan.runs}
    groups: dict[tuple[str, str], list[str]] = {}
    for run_id, clauses in reasons(plan, snapshot).items():
        for clause in clauses:
            groups.setdefault((kinds[run_id], clause), []).append(run_id)
    lines = [""] if groups else []
    for (kind, clause), runs in groups.items():
        rest = len(runs) - MAX_RUNS_SHOWN
        lines.append(plain(f"{len(runs)} {kind}: {clause}"))
        lines.append(f"    {', '.join(runs[:MAX_RUNS_SHOWN])}" + (f" and {rest} more" if rest > 0 else ""))
    return lines


def _space(needed: Disk) -> str:
    kept = f", {size(needed.kept)} of keep_checkpoints" if needed.kept else ""
    unknown = f"; without what {', '.join(needed.unknown)} may store, which no run here has yet" if needed.unknown else ""
    unknown += f"; without {needed.unbuilt} runs whose models cannot be built" if needed.unbuilt else ""
    return f"takes {size(needed.total)} of disk: {size(needed.models)} of models{kept}, {size(needed.arrays)} of arrays and pictures{unknown}"


def _columns(known: Mapping[tuple[str, ...], float]) -> dict[str, Callable[[Planned], str]]:
    """Header -> what the column shows of a run; `known` are the stored runs' seconds."""
    return {
        "run": lambda item: item.run.id,
        "family": lambda item: item.run.family,
        "estimator": lambda item: item.run.estimator or "",
        "dataset": lambda item: item.run.dataset,
        "networks": lambda item: "|".join(name for name in (item.run.encoder, item.run.decoder) if name),
        "K": lambda item: str(item.run.latent_dim),
        "seed": lambda item: str(item.run.seed),
        "further": lambda item: joined({name: value for name, value in item.varying.items() if name not in IN_COLUMNS}),
        "length": _length,
        "expected": lambda item: f"{seconds:.1f} s" if (seconds := expected(item.run, known, 0.0)) else "",
        "state": lambda item: str(item.state),
    }


def _length(item: Planned) -> str:
    training = item.run.train_settings
    return f"{training.steps} steps" if training.steps else f"{training.epochs:g} epochs"


def _left_out(plan: Plan) -> list[str]:
    """A line for everything that the suite asks for and that is not run."""
    inapplicable = _without_seeds(plan.inapplicable)
    return [
        *(f"left out: {words}: {reason}" + (f" ({n} combinations)" if n > 1 else "") for (words, reason), n in inapplicable.items()),
        *(f"left out: {line}" for line in plan.unmeasured),
        *(f"blocked:  {_words(item.settings)}: {item.reason}" for item in plan.blocked),
    ]


def _without_seeds(items: Iterable[Unplanned]) -> Counter[tuple[str, str]]:
    """Combinations in words, and the reason -> the number of seeds."""
    return Counter((_words({**item.settings, "seed": None}), item.reason) for item in items)


def _words(settings: Mapping[str, Any]) -> str:
    return " ".join(str(settings[key]) for key in ("family", "estimator", "dataset", "encoder", "decoder", "seed") if settings.get(key) is not None)


def _totals(plan: Plan) -> str:
    states = ", ".join(f"{n} {state}" for state, n in _counts(plan).items()) or "none"
    left_out = f"{len(plan.inapplicable)} combinations left out, {len(plan.blocked)} blocked"
    return f"{len(plan.runs)} distinct runs ({states}), {left_out}; {plan.models} models that differ in more than the seed"


def _counts(plan: Plan) -> dict[str, int]:
    """The number of runs by state."""
    return {str(kind): n for kind, n in sorted(Counter(item.state.kind for item in plan.runs).items())}
