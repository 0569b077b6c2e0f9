"""A plan as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from latentbench.execution.speeds import expected, speeds
from latentbench.reporting.text import size, table
from latentbench.results.disk import Disk, disk
from latentbench.results.snapshot import Snapshot
from latentbench.suites.expand import Unplanned
from latentbench.suites.labels import joined
from latentbench.suites.plan import Plan, Planned

IN_COLUMNS = ("latent_dim", "training.steps", "training.epochs")
"""Settings that may tell runs apart and have a column of their own."""


def plan_text(plan: Plan, snapshot: Snapshot) -> str:
    """Every run with its id and state, combinations that are left out, and totals."""
    columns = _columns(speeds(snapshot))
    return "\n".join(
        [
            table([[column(item) for column in columns.values()] for item in plan.runs], list(columns)),
            *_left_out(plan),
            f"\n{plan.name}: {plan.description}" if plan.description else "",
            _totals(plan),
            _space(disk(plan, snapshot.store)),
            *([f"to be compared with {', '.join(plan.expect)}"] if plan.expect else []),
            *(f"note: {note}" for note in plan.notes),
        ]
    )


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
    counts = Counter(item.state.kind for item in plan.runs)
    states = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none"
    left_out = f"{len(plan.inapplicable)} combinations left out, {len(plan.blocked)} blocked"
    return f"{len(plan.runs)} distinct runs ({states}), {left_out}; {plan.models} models that differ in more than the seed"
