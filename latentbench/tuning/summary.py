"""What tuning has found, as a table and as the comment of the suite that it writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from latentbench.reporting.text import plain, table
from latentbench.suites.expand import NO_CHANGES, Changes
from latentbench.suites.labels import joined
from latentbench.suites.tune import Tuning
from latentbench.tuning.trials import Searched

HEADER = ("model", "untuned", "tuned", "trials", "failed", "settings")
KEPT = "as in the suite"


def summary_table(found: Sequence[Searched]) -> str:
    """A line for every model: the value of the suite's own settings, the best one, trials, how many failed, and the settings that gave it."""
    return table([_row(one) for one in found], HEADER)


def about_tuned(tuning: Tuning, found: Sequence[Searched], changes: Changes = NO_CHANGES) -> Iterator[str]:
    """Lines of the comment of a tuned suite: what was measured, what was changed, and the table."""
    import optuna

    seeds = f"seed{'s' if len(tuning.seeds) > 1 else ''} {', '.join(map(str, tuning.seeds))}"
    yield f"Settings of the best trial of each model: {tuning.metric}, mean over {seeds}; proposed by optuna {optuna.__version__}."
    if flags := str(replace(changes, seeds=None)):
        left_out = "; models that --only left out were not tuned" if changes.only else ""
        yield f"The trials were changed by {plain(flags)}, and this suite is not{left_out}."
    yield from summary_table(found).splitlines()


def _row(one: Searched) -> tuple[object, ...]:
    best = one.best
    settings = joined({key: str(value) for key, value in best.settings.items()}) if best else ""
    return str(one.model), _value(one.untuned), _value(best.value if best else None), len(one.trials), one.failed, settings or KEPT


def _value(value: float | None) -> str:
    return "failed" if value is None else f"{value:.5g}"
