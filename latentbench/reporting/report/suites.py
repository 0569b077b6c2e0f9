"""What was asked for, and how to repeat it."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path

from latentbench.reporting.report.page import Block, Code, Details, Entry, Head, Table, Text
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.text import count
from latentbench.results.asked import Asked
from latentbench.results.selection import column_of

MAX_VALUES = 12
"""Values of a setting that are listed."""


def asked_for(stored: Stored, suite: Path | None) -> list[Block]:
    """The suites with their descriptions and how many of their runs are there; the settings of the runs; the suite's file."""
    blocks: list[Block] = []
    status = dict(zip(stored.runs["run_id"], stored.runs["status"].fillna("published"), strict=True))
    for one in stored.asked:
        found = Counter(status.get(run_id, "missing") for run_id in one.runs)
        outcome = ", ".join(f"{n:,} {what}" for what, n in sorted(found.items()))
        changed = f" It was run with {one.changes}." if one.changes else ""
        blocks.append(Text([f"Suite {one.name}: {count(len(one.runs), 'run')}, {outcome}.{changed}", *filter(None, [one.description])]))
    if not stored.asked:
        blocks.append(Text(["The folders do not record which suite asked for these runs; they are described by their settings."]))
    blocks.append(_settings(stored))
    if suite is not None:
        blocks.append(Details(f"Suite file {suite.name}", [Code(suite.name, suite.read_text(encoding="utf-8", errors="replace"))]))
    return blocks


def _settings(stored: Stored) -> Table:
    """The settings that vary, with their values and how many runs have each."""
    rows = []
    for name in [*stored.names, "seed"]:
        counts = column_of(stored.runs, name).value_counts(sort=False)
        values = [f"{value or 'none'} ({n})" for value, n in counts.items()]
        rest = f", and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
        rows.append([Entry(name), Entry(", ".join(values[:MAX_VALUES]) + rest), Entry(str(len(values)), len(values))])
    return Table(
        "Settings that tell runs apart, with the number of runs of each value", [Head("setting"), Head("values (runs)"), Head("values", True)], rows
    )


def repeat(stored: Stored, suite: Path | None, command: str) -> list[Block]:
    """The commands that ran the suites and wrote this page, and the environment as pip takes it."""
    commands = [_command(one, suite) for one in stored.asked] or [f"latentbench run SUITE.yaml --results {shlex.quote(str(stored.stores[0]))}"]
    blocks: list[Block] = [Code("What ran", "\n".join(dict.fromkeys(commands))), Code("What wrote this page", command)]
    environments = Counter(str(text) for text in stored.runs["versions"].dropna())
    for text, n in environments.most_common(3):
        versions = json.loads(text)
        lines = [f"# Python {versions.pop('python', '?')}", *(f"{package}=={version}" for package, version in versions.items())]
        of = "all runs" if len(environments) == 1 else count(n, "run")
        blocks.append(Code(f"Environment of {of}, as requirements of pip", "\n".join(lines)))
    if len(environments) > 3:
        blocks.append(Text([f"{count(len(environments) - 3, 'more environment')}: see the versions under Provenance."]))
    return blocks


def _command(one: Asked, suite: Path | None) -> str:
    return (
        shlex.join(one.command)
        if one.command
        else f"latentbench run {shlex.quote(str(suite)) if suite else f'{one.name}.yaml'} {one.changes}".strip()
    )
