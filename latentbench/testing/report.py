"""What a check found, and the report of all checks of a part."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Status = Literal["passed", "failed", "known deviation", "unexpected pass", "inapplicable", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    `comparisons` were made, each rejected below `level` where it involves chance; `false_alarm` is the check's as a whole, 0 without chance.
    `broken` are the comparisons that failed, `remarks` numbers worth knowing, `reason` why a deviation is known or the law says nothing.
    """

    check: str
    status: Status
    law: str
    cause: str
    comparisons: int = 0
    false_alarm: float = 0.0
    level: float | None = None
    smallest_p: float | None = None
    finds: str = ""
    broken: Sequence[str] = ()
    reason: str = ""
    remarks: Sequence[str] = ()
    seconds: float = 0.0

    def text(self) -> Iterator[str]:
        """Lines for the terminal: a failure says which law, the numbers, and what usually causes it."""
        detail = {"passed": self._certainty(), "failed": ""}.get(self.status, self.reason)
        yield f"{self.status:>15}  {self.check}{f': {detail}' if detail else ''}"
        if self.status in ("failed", "known deviation"):
            yield from (f"{'':17}{line}" for line in self.explanation())
        yield from (f"{'':17}{line}" for line in self.remarks)

    def explanation(self) -> Iterator[str]:
        """The law, the numbers that break it, and what usually causes that."""
        yield f"law: {self.law}"
        yield from (f"found: {line}" for line in self.broken[:5])
        if len(self.broken) > 5:
            yield f"and {len(self.broken) - 5} more of {self.comparisons} comparisons"
        if self.status == "failed":
            yield f"usual cause: {self.cause}"

    def _certainty(self) -> str:
        made = f"{self.comparisons} comparison{'s' if self.comparisons != 1 else ''}"
        if self.smallest_p is None:
            return made
        return f"{made}, smallest p {self.smallest_p:.2g}, false alarm at most {self.false_alarm:.0e}; would find {self.finds}"


@dataclass(frozen=True)
class Report:
    """The findings about a part, in the order of the checks.

    `variants` are the options that it was tried with, `left_out` those with which it does not apply, and `unasked` the checks that were not asked
    for.
    """

    kind: str
    name: str
    findings: Sequence[Finding]
    variants: Sequence[str] = ()
    left_out: Sequence[str] = ()
    unasked: Sequence[str] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many checks ended how."""
        found = Counter(finding.status for finding in self.findings)
        return {status: found[status] for status in get_args(Status) if found[status]}

    @property
    def ok(self) -> bool:
        """Whether something was checked, and nothing failed."""
        return "failed" not in self.counts and {"passed", "known deviation", "unexpected pass"} & self.counts.keys() != set()

    def text(self) -> str:
        """The report for the terminal: its findings and its end."""
        return "\n".join([*(line for finding in self.findings for line in finding.text()), *self.end()])

    def end(self) -> Iterator[str]:
        """What follows the findings: the options that the part was tried with, and one line with how many checks ended how, in how many seconds."""
        yield f"tried with {'; '.join(self.variants) or 'no options'}"
        yield from self.left_out
        seconds = sum(finding.seconds for finding in self.findings)
        counts = self.counts | ({"not asked for": len(self.unasked)} if self.unasked else {})
        counted = ", ".join(f"{n} {status}" for status, n in counts.items()) or "no check was made"
        verdict = "does not conform" if not self.ok else "conforms as far as it could be tried" if "skipped" in self.counts else "conforms"
        yield f"{self.kind} '{self.name}' {verdict}: {counted}, {seconds:.0f} s"

    def json(self) -> str:
        """The same for programs."""
        whole = {"kind": self.kind, "name": self.name, "ok": self.ok, "counts": self.counts, "variants": [*self.variants]}
        more = {"left_out": [*self.left_out], "unasked": [*self.unasked], "findings": [asdict(finding) for finding in self.findings]}
        return json.dumps({**whole, **more}, indent=2) + "\n"
