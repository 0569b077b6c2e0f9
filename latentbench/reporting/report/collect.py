"""The page about results folders."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from latentbench.files import storing, write_atomically
from latentbench.reporting.asked import asked
from latentbench.reporting.report.boards import boards
from latentbench.reporting.report.charts import curves, plane
from latentbench.reporting.report.cost import cost
from latentbench.reporting.report.failures import failures
from latentbench.reporting.report.html import to_html
from latentbench.reporting.report.licences import licences
from latentbench.reporting.report.page import Block, Page, Section, Text
from latentbench.reporting.report.pictures import galleries
from latentbench.reporting.report.provenance import provenance
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.suites import asked_for, repeat
from latentbench.reporting.report.text import count
from latentbench.reporting.report.verdicts import verdicts
from latentbench.results.asked import Asked, records
from latentbench.results.fragments import read_once
from latentbench.suites.suite import load_suite


def write_report(stores: Sequence[Path], out: Path, suite: Path | None = None, title: str | None = None) -> int:
    """Write one self-contained page about results folders, or about the runs there that a suite asks for; the size of the file in bytes.

    Raises:
        UserError: a folder has no results or cannot be read, the suite is wrong or none of its runs is there, or a package is not installed.
        OSError: the file cannot be written.
    """
    content = to_html(page(stores, suite, title, out)).encode()
    with storing(out):
        write_atomically(out, content)
    return len(content)


def page(stores: Sequence[Path], suite: Path | None = None, title: str | None = None, out: Path = Path("report.html")) -> Page:
    """The page, about one state of the stores.

    Raises:
        UserError: as `write_report`.
    """
    with read_once():
        return _page(stores, suite, title, out)


def _page(stores: Sequence[Path], suite: Path | None, title: str | None, out: Path) -> Page:
    stored = Stored.read(stores, _suite(suite, stores))
    charts: list[Block] = [chart for chart in (plane(stored), curves(stored)) if chart is not None]
    sections = [
        Section("asked", "What was asked", asked_for(stored, suite)),
        Section("verdicts", "Verdicts", verdicts(suite, stores)),
        Section("leaderboards", "Leaderboards", boards(stored)),
        Section("charts", "Charts", charts or [Text(["No two metrics and no training curve were stored."])]),
        Section("pictures", "Pictures", galleries(stored)),
        Section("failures", "Failures", failures(stored)),
        Section("cost", "Cost", cost(stored)),
        Section("provenance", "Provenance", provenance(stored)),
        Section("licences", "Licences", licences(stored)),
        Section("repeat", "How to repeat it", repeat(stored, suite, _command(stores, suite, title, out))),
    ]
    return Page(title or _title(stored), _facts(stored), sections)


def _suite(suite: Path | None, stores: Sequence[Path]) -> list[Asked]:
    """What the suite asks for: as it was run in the folders, with whatever flags, else as planned now."""
    if suite is None:
        return []
    digest = load_suite(suite).digest
    return [record for path in stores for record in records(path, digest)] or [asked(suite, stores)]


def _title(stored: Stored) -> str:
    names = list(dict.fromkeys(one.name for one in stored.asked))
    return f"latentbench: {', '.join(names) if names else ', '.join(map(str, stored.stores))}"


def _facts(stored: Stored) -> dict[str, str]:
    status = stored.runs["status"].fillna("published").value_counts()
    return {
        "Runs": ", ".join(f"{n:,} {what}" for what, n in status.items()) or "none",
        "Models": count(stored.runs["model"].nunique(), "model"),
        "Results": ", ".join(map(str, stored.stores)),
        "Written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by latentbench {version('latentbench')}",
    }


def _command(stores: Sequence[Path], suite: Path | None, title: str | None, out: Path) -> str:
    flags = [*(["--suite", str(suite)] if suite else []), "--out", str(out), *(["--title", title] if title else [])]
    return shlex.join(["latentbench", "report", *map(str, stores), *flags])
