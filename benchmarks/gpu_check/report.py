"""The outcomes as one JSON file and one Markdown table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gpu_check.check import Outcome

HEADER = "| check | what | found | expected | ok |\n|---|---|---|---|---|"


def write(outcomes: Sequence[Outcome], device: str, folder: Path) -> None:
    """Write `gpu_check.json` and `gpu_check.md`; called after every check, so that what was found is there whatever happens later."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    content = {"device": device, "made": made, "checks": [outcome.to_json() for outcome in outcomes]}
    (folder / "gpu_check.json").write_text(json.dumps(content, indent=1))
    (folder / "gpu_check.md").write_text(f"# GPU check, {device}, {made}\n\n{table(outcomes)}\n")


def table(outcomes: Sequence[Outcome]) -> str:
    """A line a finding, and one for how each check ended."""
    lines = [HEADER]
    for outcome in outcomes:
        lines += [_line(outcome.name, f.what, f.found, f.expected, {None: "", True: "yes", False: "NO"}[f.ok]) for f in outcome.findings]
        note = outcome.note.strip().splitlines()[-1] if outcome.note.strip() else ""
        ended = f"{outcome.status} after {outcome.seconds:.0f} s" + (f": {note}" if note else "")
        lines.append(_line(outcome.name, "**outcome**", ended, "", {"passed": "yes", "skipped": ""}.get(outcome.status, "NO")))
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
