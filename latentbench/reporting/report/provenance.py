"""Where results come from: versions, code, machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pandas as pd

from latentbench.reporting.report.page import Block, Details, Entry, Head, Table, Text
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.text import count

WORDS = {"host": "host", "device_name": "device", "driver": "GPU driver", "threads": "threads of a run", "git_sha": "git commit", "source": "source"}
"""Columns whose values are shown, with their words."""


def provenance(stored: Stored) -> list[Block]:
    """Every value that runs have of what they ran with, and how many have it; and the hashes of sources that differ between runs."""
    rows = [[Entry(what), Entry(value), Entry(f"{n:,}", n)] for what, value, n in _found(stored.runs)]
    blocks: list[Block] = [Text(["No provenance is stored with these runs."])]
    if rows:
        blocks = [Table("What runs ran with", [Head("what"), Head("value"), Head("runs", True)], rows)]
    sources = _sources(stored.runs)
    several = {file: hashes for file, hashes in sources.items() if len(hashes) > 1}
    if several:
        body = [[Entry(file), Entry(digest), Entry(f"{n:,}", n)] for file, hashes in several.items() for digest, n in hashes.items()]
        blocks.append(Table("Sources of which runs have several versions", [Head("file"), Head("hash"), Head("runs", True)], body, 2))
    if sources:
        body = [[Entry(file), Entry(digest), Entry(f"{n:,}", n)] for file, hashes in sorted(sources.items()) for digest, n in hashes.items()]
        blocks.append(Details(f"Hashes of {count(len(sources), 'source file')}", [Table("Sources of training", _HEADS, body)]))
    return blocks


_HEADS = [Head("file"), Head("hash", note="of the syntax tree, without comments"), Head("runs", True)]


def _found(runs: pd.DataFrame) -> Iterator[tuple[str, str, int]]:
    for name, n in _counts(_commits(runs)):
        yield "git commit", name, n
    for column, word in WORDS.items():
        if column != "git_sha":
            yield from ((word, value, n) for value, n in _counts(runs[column]))
    for column in ("versions", "numerics", "hardware", "plugins"):
        counts: Counter[tuple[str, str]] = Counter()
        for text, n in runs[column].dropna().value_counts().items():
            counts.update({(str(key), str(value)): int(n) for key, value in json.loads(str(text)).items()})
        yield from ((f"{column}: {key}", value, n) for (key, value), n in sorted(counts.items()))


def _commits(runs: pd.DataFrame) -> pd.Series[str]:
    """The commits, with a word where there were changes beside them."""
    dirty = runs["git_dirty"].map({True: " with uncommitted changes"}).fillna("")
    return runs["git_sha"] + dirty


def _counts(column: pd.Series[str]) -> list[tuple[str, int]]:
    texts = column.dropna().map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    return [(str(value), int(n)) for value, n in texts.value_counts().items()]


def _sources(runs: pd.DataFrame) -> dict[str, Counter[str]]:
    """File -> hash -> the number of runs."""
    found: dict[str, Counter[str]] = {}
    for text, n in runs["sources"].dropna().value_counts().items():
        for file, digest in json.loads(str(text)).items():
            found.setdefault(str(file), Counter())[str(digest)] += int(n)
    return found
