"""In what more than their names the rows of a column differ: footnotes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from latentbench.reporting.gathering import Gathered, Place
from latentbench.results.selection import Texts, settings_of, text_of

OF_PARTS = ("family_options.", "estimator_options.", "plugins.", "dataset_sources.", "training.temperature")
"""Settings that belong to one family, estimator or data set, and differ by their names."""
OF_NETWORKS = ("encoder_options.", "decoder_options.")
"""Options that a run is without where they are at their defaults."""
DEFAULT = "the default"
SAID = {"device_name": "GPU", "versions": "versions", "evaluation_id": "evaluation", "numerics": "numerics"}
"""Columns that are no settings, and what a footnote calls them."""
MAX_SHOWN = 120
"""Characters of a value in a footnote."""


@dataclass
class Footnotes:
    """Footnotes of a leaderboard: marks by cell, and texts by mark."""

    texts: dict[str, str]
    marks: dict[Place, list[str]] = field(default_factory=dict)

    def add(self, place: Place, text: str) -> None:
        """Give a cell the footnote of that text."""
        mark = next((known for known, said in self.texts.items() if said == text), str(len(self.texts) + 1))
        self.texts[mark] = text
        self.marks.setdefault(place, []).append(mark)

    def of(self, place: Place) -> str:
        """The marks of a cell."""
        return ",".join(self.marks.get(place, []))


def footnotes(values: pd.DataFrame, cells: Mapping[Place, Gathered], named: Sequence[str], texts: dict[str, str]) -> Footnotes:
    """A footnote for every cell that differs from most rows of its column in a setting or circumstance that names neither rows nor columns.

    What a row does not have, as a setting that its family does not read, is no difference. `texts` has footnotes by mark, and gets more.
    """
    notes = Footnotes(texts)
    runs = {place: cell for place, cell in cells.items() if cell.values}
    for name, said in _circumstances(values, named):
        for column in sorted({column for _, column in runs}):
            mine = {place: frozenset(said[i] for i in cell.at if said[i]) for place, cell in runs.items() if place[1] == column}
            _note(name, {place: found for place, found in mine.items() if found}, notes)
    _note_sources(values, runs, notes)
    return notes


def _circumstances(values: pd.DataFrame, named: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The settings and circumstances that vary, with their texts by position."""
    text = Texts(values)
    for name in settings_of(values):
        if name in named or name in ("source", "store") or name.startswith(OF_PARTS):
            continue
        texts = text(name)
        if name.startswith(OF_NETWORKS):
            texts = [said or DEFAULT if network else "" for said, network in zip(texts, text(name.partition("_")[0]), strict=True)]
        if len(set(texts)) > 1:
            yield name, texts
    for name, said in SAID.items():
        if name in values:
            column = values[name].where(values["device"] == "cuda", None) if name == "device_name" else values[name]
            texts = [text_of(raw) for raw in column.tolist()]
            if len(set(texts)) > 1:
                yield said, texts


def _note(name: str, found: Mapping[Place, frozenset[str]], notes: Footnotes) -> None:
    """Mark the cells of a column whose values are not those of most."""
    counts = Counter(found.values())
    if len(counts) < 2:
        return
    usual, most = counts.most_common(1)[0]
    for place, texts in found.items():
        if texts != usual:
            than = f", where {'most rows have' if most > 1 else 'another row has'} {_shown(usual)}" if name != "versions" else ""
            notes.add(place, f"{name} {_versions(texts, usual) if name == 'versions' else _shown(texts)}{than}")


def _versions(texts: frozenset[str], usual: frozenset[str]) -> str:
    """The versions in which runs differ from others, which are JSON."""
    mine, others = ({(k, str(v)) for text in side for k, v in json.loads(text).items()} for side in (texts, usual))
    return ", ".join(f"{name} {version}" for name, version in sorted(mine - others)) or "more than one"


def _shown(texts: frozenset[str]) -> str:
    text = " and ".join(sorted(texts))
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _note_sources(values: pd.DataFrame, cells: Mapping[Place, Gathered], notes: Footnotes) -> None:
    """Mark cells whose code differs from that of most cells, file by file: rows need not have read the same files."""
    if "sources" not in values:
        return
    texts = values["sources"].tolist()
    parsed: dict[str, dict[str, Any]] = {text: json.loads(text) for text in set(texts) if isinstance(text, str)}
    hashes: dict[str, dict[Place, frozenset[str]]] = {}
    for place, cell in cells.items():
        for file in {file for i in cell.at if isinstance(texts[i], str) for file in parsed[texts[i]]}:
            hashes.setdefault(file, {})[place] = frozenset(str(parsed[texts[i]][file]) for i in cell.at if file in parsed.get(texts[i], {}))
    changed: dict[Place, list[str]] = {}
    for file, found in hashes.items():
        counts = Counter(found.values())
        usual = counts.most_common(1)[0][0]
        for place, mine in found.items():
            if mine != usual:
                changed.setdefault(place, []).append(file)
    for place, files in changed.items():
        shown = ", ".join(sorted(files)[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        notes.add(place, f"made by other code than other rows: {shown}")
