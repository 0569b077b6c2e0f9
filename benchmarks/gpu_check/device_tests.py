"""The tests that are marked `cuda`, and those of the kernels, which run on a GPU where there is one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from xml.etree import ElementTree

from benchmarks.gpu_check.bare import ROOT
from benchmarks.gpu_check.check import Finding, Setting

KERNELS = "tests/blocks/test_relaxed_poisson_triton.py"


def check(setting: Setting) -> Iterator[Finding]:
    """Each file's numbers of tests that passed, failed and were skipped."""
    for name, words in {"marked `cuda`": ["-m", "cuda", "tests/training", "tests/blocks"], "of the kernels": [KERNELS, *_few(setting)]}.items():
        report = setting.folder / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", str(setting.folder / "pytest"), "--junitxml", str(report)]
        output = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout
        if not report.exists():
            raise RuntimeError(output[-3000:])
        counts = _counts(report.read_text())
        report.unlink()
        found = f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
        yield Finding(f"tests {name}", found, "none failed", not counts["failed"])
        if counts["failed"]:
            print(output[-6000:], file=sys.stderr)


def _few(setting: Setting) -> list[str]:
    return ["-k", "philox or shape"] if setting.small else []


def _counts(report: str) -> dict[str, int]:
    suite = ElementTree.fromstring(report).find("testsuite")
    assert suite is not None, "pytest writes one suite"
    failed, skipped = int(suite.get("failures", 0)) + int(suite.get("errors", 0)), int(suite.get("skipped", 0))
    return {"passed": int(suite.get("tests", 0)) - failed - skipped, "failed": failed, "skipped": skipped}
