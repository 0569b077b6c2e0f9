"""What a suite will cost, as text or JSON: hours a run, hours of devices, and the time until an engine would have done it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from latentbench.engine import Engine, Load, Wall
from latentbench.execution.cost.estimate import Estimate, KindCost
from latentbench.execution.cost.measured import Measured
from latentbench.numbers import duration
from latentbench.reporting.text import plain, size, table
from latentbench.suites.plan import Plan, Planned
from latentbench.training.train import plan_steps

HEADER = ("kind of run", "runs", "ms a step, start to end", "steps", "evaluation", "time a run", "memory")
COUNTED = (
    "counted: loading of the data, the model, every step, and evaluations as far as they could be measured; not counted: preparation of data, "
    "starts of processes, storing.",
    "Steps are medians of a few, at the start and at the end of the schedules, of a model that is not trained, so the end has the temperature of the "
    "end and not its parameters: codes that become sparse in training make steps of counts faster. In between, cost is taken to be linear in the "
    "temperature. Evaluations are timed on a part of the images and extrapolated along a line.",
)
"""What the numbers mean, a paragraph each."""
ON_CPU = "Seconds of the CPU: runs at a time are taken not to slow each other, as cores that share a memory do."
ON_GPU = "Of runs that share a GPU: the least time is theirs if they do not slow each other, the most if sharing gains nothing."
SAME = 0.02
"""Relative difference below which start and end cost the same."""


@dataclass(frozen=True)
class Total:
    """Of some runs: how many there are and how many of them are unmeasured, seconds of devices, and when an engine would have done them."""

    runs: int
    unmeasured: int
    device_seconds: float
    wall: Wall | None


@dataclass(frozen=True)
class Costs:
    """The cost of a plan's runs, for an engine. `left` has the runs that are still to do -> whether they are trained, and measured only."""

    estimate: Estimate
    engine: Engine
    plan: Plan
    left: Mapping[str, bool]

    def total(self, items: Iterable[Planned], measured_only: Mapping[str, bool]) -> Total:
        """Of these runs, in the order in which the engine gets them: the longest first."""
        found = [(item.run, self.estimate.of_run.get(item.run.id)) for item in items]
        known = [(run, cost) for run, cost in found if cost is not None]
        loads = [_load(cost, cost.evaluated_only if measured_only.get(run.id) else cost.seconds(run)) for run, cost in known]
        loads.sort(key=lambda load: -load.seconds)
        capacity = max((cost.capacity for _, cost in known if cost.capacity is not None), default=None)
        wall = self.engine.wall(loads, capacity) if loads else None
        return Total(len(found), len(found) - len(known), sum(load.seconds for load in loads), wall)

    @property
    def whole(self) -> Total:
        """All runs of the suite, as if none were stored."""
        return self.total(self.plan.runs, {})

    @property
    def ahead(self) -> Total:
        """The runs that `latentbench run` would do."""
        return self.total([item for item in self.plan.runs if item.run.id in self.left], self.left)


def _load(cost: Measured, seconds: float) -> Load:
    return Load(seconds, cost.device_memory or 0)


def costs_text(costs: Costs) -> str:
    """A row for every kind of run, then totals, what is unmeasured and why, and what the numbers mean."""
    kinds, cuda = costs.estimate.kinds, costs.engine.device == "cuda"
    known = [(cost, cost.measured) for cost in kinds if cost.measured is not None]
    problems = Counter((cost.problem, len(cost.kind.items)) for cost in kinds if cost.measured is None)
    lines = [f"\ntime of runs on {plain(costs.estimate.device)}: {len(known)} of {len(kinds)} kinds measured, {costs.estimate.made} of them now"]
    lines += [table([_row(cost, measured) for cost, measured in known], HEADER)] if known else []
    lines += [_unmeasured(problem, [n for (why, n), count in problems.items() for _ in range(count) if why == problem]) for problem, _ in problems]
    lines += [f"evaluations unmeasured: {plain(cost.kind.label)}: {plain(measured.problem)}" for cost, measured in known if measured.problem]
    if not known:
        return "\n".join(dict.fromkeys(lines))
    lines += [_total("whole suite", costs.whole, costs.engine), _total("left to run", costs.ahead, costs.engine)]
    return "\n".join([*dict.fromkeys(lines), *COUNTED, ON_GPU if cuda else ON_CPU])


def costs_json(costs: Costs) -> dict[str, Any]:
    """The same for programs: the `device`, `kinds` (`label`, `runs`, `measured` with seconds and bytes, or null and the `problem`), and `whole` and
    `left` with `runs`, `unmeasured`, `device_seconds` and `wall` (`least` and `most` seconds, null where the engine cannot tell)."""
    kinds = [
        {
            "label": cost.kind.label,
            "runs": [item.run.id for item in cost.kind.items],
            "measured": None if cost.measured is None else asdict(cost.measured),
            "problem": cost.problem,
        }
        for cost in costs.estimate.kinds
    ]
    return {"device": costs.estimate.device, "kinds": kinds, "whole": asdict(costs.whole), "left": asdict(costs.ahead)}


def _row(cost: KindCost, measured: Measured) -> list[str]:
    runs = [item.run for item in cost.kind.items]
    steps = sorted({plan_steps(run.train_settings, measured.images)[2] for run in runs})
    return [
        cost.kind.label,
        str(len(runs)),
        _milliseconds(measured),
        f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}",
        "unmeasured" if measured.evaluation is None else f"{measured.evaluation:.3g} s",
        duration(mean(measured.seconds(run) for run in runs)),
        size(measured.memory if measured.device_memory is None else measured.device_memory),
    ]


def _milliseconds(measured: Measured) -> str:
    start, end = 1000 * measured.start, 1000 * measured.end
    return f"{start:.3g}" if abs(start - end) <= SAME * max(start, end) else f"{start:.3g} to {end:.3g}"


def _unmeasured(problem: str, runs: list[int]) -> str:
    return f"unmeasured: {sum(runs)} runs of {len(runs)} kinds: {plain(problem)}"


def _total(name: str, total: Total, engine: Engine) -> str:
    without = f", without {total.unmeasured} unmeasured runs" if total.unmeasured else ""
    unit = "GPU" if engine.device == "cuda" else "core"
    return f"{name}: {total.runs} runs{without}: {total.device_seconds / 3600:.3g} {unit}-hours; {_wall(total, engine)}"


def _wall(total: Total, engine: Engine) -> str:
    if total.wall is None:
        return f"engine {engine.name} does not say how long that is by the clock" if total.device_seconds else "nothing to wait for"
    least, most = duration(total.wall.least), duration(total.wall.most)
    return f"{least if least == most else f'{least} to {most}'} by the clock, {engine.capacity}"
