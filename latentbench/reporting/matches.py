"""Which of a suite's models a published value is about, and what tells published values apart."""

from __future__ import annotations

from collections.abc import Sequence

from latentbench.reporting.expected import PLACE, Expected, Settings, fits
from latentbench.reporting.measured import Model


def matches(values: Sequence[Expected], models: Sequence[Model]) -> list[list[Model]]:
    """The models that have all settings of each published value."""
    by_parts: dict[tuple[object, object], list[Model]] = {}
    for model in models:
        by_parts.setdefault((model.settings.get("family"), model.settings.get("dataset")), []).append(model)
    found: list[list[Model]] = []
    known: dict[tuple[tuple[str, str], ...], list[Model]] = {}
    for value in values:
        key = tuple(sorted((name, str(given)) for name, given in value.settings.items()))
        if key not in known:
            parts = value.settings.get("family"), value.settings.get("dataset")
            near = by_parts.get(parts, []) if None not in parts else models
            known[key] = _plainest(value.settings, [model for model in near if fits(value.settings, model.settings)])
        found.append(known[key])
    return found


def _plainest(published: Settings, models: list[Model]) -> list[Model]:
    """Of several models those whose options, beyond the published ones, all others have too; all models where there are none.

    What a published value does not say is at its neutral value, which rows leave out.
    """
    extra = [{name for name in model.settings if "." in name and not name.startswith("plugins.")} - set(published) for model in models]
    least = [model for model, own in zip(models, extra, strict=True) if all(own <= other for other in extra)]
    return least or models


def told_apart(models: Sequence[Model]) -> str:
    """Settings in which models differ, but for where they are trained, with their values; empty where they differ in nothing else."""
    names = sorted(name for name in {name for model in models for name in model.settings} - set(PLACE) if not name.startswith("plugins."))
    values = {name: sorted({_text(model.settings.get(name)) or "none" for model in models}) for name in names}
    varying = {name: found for name, found in values.items() if len(found) > 1}
    outer = {name: found for name, found in varying.items() if "." not in name}  # options and versions go with the parts that have them
    return "; ".join(f"{name}: {', '.join(found)}" for name, found in (outer or varying).items())


def named(values: Sequence[Expected]) -> list[dict[str, str]]:
    """For each value those of its settings, as texts, that tell it from others of its table: nested ones only where the others do not."""
    names: dict[str, list[str]] = {}
    for table in dict.fromkeys(value.table for value in values):
        rows = [value for value in values if value.table == table]
        texts = {name: [_text(row.settings.get(name)) for row in rows] for name in dict.fromkeys(name for row in rows for name in row.settings)}
        varying = sorted((name for name, column in texts.items() if len(set(column)) > 1), key=lambda name: "." in name)
        chosen: list[str] = []
        count = len({row.measured for row in rows})
        for name in varying:
            more = len({(row.measured, *(texts[given][i] for given in (*chosen, name))) for i, row in enumerate(rows)})
            if "." not in name or more > count:
                chosen, count = [*chosen, name], more
        names[table] = chosen
    return [{name: text for name in names[value.table] if (text := _text(value.settings.get(name)))} for value in values]


def _text(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
