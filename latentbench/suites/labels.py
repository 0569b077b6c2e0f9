"""Words for runs: what tells the runs of a suite apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from latentbench.suites.settings import Run
from latentbench.suites.sweep import NESTED

NAMED = ("family", "estimator", "dataset", "encoder", "decoder", "seed")
"""Settings that `Run.about` has."""
INTERNAL = ("plugins", "sources", "device")
"""Fields of a run that no suite sets."""


def dotted(run: Run) -> dict[str, Any]:
    """A run's settings with dotted keys, without what no suite sets."""
    dumped = run.model_dump(exclude_none=True, exclude=set(INTERNAL))
    nested = {f"{outer}.{inner}": value for outer in NESTED for inner, value in dumped[outer].items()}
    return {**{key: value for key, value in dumped.items() if key not in NESTED}, **nested}


def varying(runs: Sequence[Run], written: Set[str]) -> list[dict[str, str]]:
    """For every run the settings, beyond those in `NAMED`, that vary in the suite, as texts.

    These are the settings that the suite has `written` and that have several values, and all by which runs alike in the `NAMED` ones differ.
    """
    settings = [{key: str(value) for key, value in dotted(run).items()} for run in runs]
    names = {name for name in written - set(NAMED) if len({one[name] for one in settings if name in one}) > 1}
    alike: dict[tuple[str | None, ...], list[dict[str, str]]] = {}
    for one in settings:
        alike.setdefault(_words(one), []).append(one)
    differing = {words: _differing(group) for words, group in alike.items()}
    return [{name: one[name] for name in sorted((names | differing[_words(one)]) & one.keys())} for one in settings]


def joined(settings: Mapping[str, str]) -> str:
    """`beta=2.0 init_std=0.01`: names without what comes before their dot, unless two would be the same."""
    short = [name.rpartition(".")[2] for name in settings]
    names = [name if short.count(last) > 1 else last for name, last in zip(settings, short, strict=True)]
    return " ".join(f"{name}={value}" for name, value in zip(names, settings.values(), strict=True))


def _words(settings: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(settings.get(name) for name in NAMED if name != "seed")


def _differing(group: Sequence[Mapping[str, str]]) -> set[str]:
    names = {name for one in group for name in one} - set(NAMED)
    return {name for name in names if len({one.get(name) for one in group}) > 1}
