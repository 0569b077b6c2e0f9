"""What a check is, what it finds, and how it is run in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped", "timed out", "crashed"]
CORE = ("numpy", "pandas", "platformdirs", "pluggy", "pooch", "pyarrow", "pydantic", "safetensors", "scipy", "sklearn", "yaml")
"""Modules without which no run can be described or trained."""


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was looked at, what was found, and what was expected of it, if anything."""

    what: str
    found: str
    expected: str = ""
    ok: bool | None = None


@dataclass(frozen=True)
class Check:
    """A check by name: the module of this package whose `check(setting)` yields its findings, its most seconds, and the modules that it imports."""

    name: str
    seconds: float
    needs: Sequence[str] = CORE

    @property
    def missing(self) -> list[str]:
        """The needed modules that are not there."""
        return [module for module in self.needs if find_spec(module) is None]


@dataclass(frozen=True)
class Setting:
    """Where checks run: the device, whether they are small, as in tests of this package itself, and a folder for their files."""

    device: str
    small: bool
    folder: Path

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")


@dataclass
class Outcome:
    """What a check has come to."""

    name: str
    status: Status
    seconds: float = 0.0
    note: str = ""
    findings: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def run_here(check: Check, setting: Setting) -> Outcome:
    """Run a check in this process; an error of it is an outcome."""
    findings: list[Finding] = []
    try:
        module = import_module(f"benchmarks.gpu_check.{check.name}")
        for finding in module.check(setting):
            findings.append(finding)
            print(json.dumps(asdict(finding)), flush=True)  # so that those before a limit or a crash are kept
    except Exception:  # whatever it is, the report has its text, and the other checks follow
        return Outcome(check.name, "failed", note=traceback.format_exc(limit=-6), findings=findings)
    return Outcome(check.name, "failed" if any(finding.ok is False for finding in findings) else "passed", findings=findings)


def run_apart(check: Check, setting: Setting, limit: float, environment: Mapping[str, str]) -> Outcome:
    """Run a check in a process of its own, which is ended with all that it started after `limit` seconds."""
    if check.missing:
        return Outcome(check.name, "skipped", note=f"packages missing: {', '.join(check.missing)}")
    size = ["--small"] if setting.small else []
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--only", check.name, "--here", "--device", setting.device, "--out", str(setting.folder)]
    begun, errors = time.monotonic(), setting.folder / f"{check.name}.log"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [*command, *size], env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
        try:
            output, _ = process.communicate(timeout=limit)
            late = False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the process that was started here, and its children
            output, late = process.communicate()[0], True
    return _outcome(check.name, output, late, time.monotonic() - begun, errors)


def _outcome(name: str, output: str, late: bool, seconds: float, errors: Path) -> Outcome:
    """The outcome from what a process has printed: findings, and last how it ended."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    findings = [Finding(**line) for line in lines if "what" in line]
    ending = next((line for line in lines if "status" in line), None)
    if ending is not None:
        return Outcome(name, ending["status"], seconds, ending["note"], findings)
    tail = "\n".join(errors.read_text(errors="replace").splitlines()[-8:])
    return Outcome(name, "timed out" if late else "crashed", seconds, tail, findings)
