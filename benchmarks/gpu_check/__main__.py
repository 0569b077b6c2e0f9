"""`python -m benchmarks.gpu_check`: every check in turn, and what came of it. Ends with 0, with 1 where a check failed, with 2 without a GPU."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_check.bare import python_path
from benchmarks.gpu_check.check import CORE, Check, Outcome, Setting, run_apart, run_here
from benchmarks.gpu_check.report import table, write

CHECKS = (
    Check("environment", 25, ("torch",)),
    Check("precision", 45),
    Check("samplers", 45, ("torch", "pluggy", "numpy", "scipy")),
    Check("device_tests", 100, (*CORE, "pytest", "triton")),
    Check("determinism", 60),
    Check("launches", 45),
    Check("speed", 80),
    Check("packed", 80, (*CORE, "tabulate", "typer", "rich")),
    Check("compiled", 100),
)
LIMIT = 530.0
"""Seconds for all of them: under nine minutes. What does not fit any more is said to be skipped."""


def main(words: Sequence[str]) -> int:
    """Parse, run, and print the table."""
    options = _parser().parse_args(words)
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    setting = Setting(options.device, options.small, folder.resolve())
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    if options.here:
        outcome = run_here(chosen[0], setting)
        print(json.dumps({"status": outcome.status, "note": outcome.note}), flush=True)
        return 0
    trouble = why_no_gpu() if setting.cuda else None
    if trouble:
        print(f"gpu-check: {trouble}; nothing was checked. `--device cpu --small` runs the same checks, scaled down, on the CPU.", file=sys.stderr)
        return 2
    outcomes = _run(chosen, setting, folder)
    print(table(outcomes))
    print(f"\n{folder / 'gpu_check.json'}, {folder / 'gpu_check.md'}")
    return int(any(outcome.status not in ("passed", "skipped") for outcome in outcomes))


def why_no_gpu() -> str | None:
    """Why there is no GPU to check, if there is none."""
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported ({error})"
    if torch.cuda.is_available():
        return None
    built = torch.version.cuda or getattr(torch.version, "hip", None)
    return "this machine has no GPU that torch can use" if built else f"there is no GPU: torch {torch.__version__} is built without CUDA"


def _run(chosen: Sequence[Check], setting: Setting, folder: Path) -> list[Outcome]:
    begun, outcomes, patience = time.monotonic(), list[Outcome](), 1 if setting.cuda else 5  # a CPU may be shared with others
    environment = {"PYTHONPATH": python_path(setting.folder), "LATENTBENCH_CACHE": str(setting.folder / "cache")}
    for check in chosen:
        left = LIMIT * patience - (time.monotonic() - begun)
        if left < 5:
            outcomes.append(Outcome(check.name, "skipped", note="no time is left"))
        else:
            outcomes.append(run_apart(check, setting, min(check.seconds * patience, left), environment))
        print(f"{check.name}: {outcomes[-1].status} ({outcomes[-1].seconds:.0f} s)", file=sys.stderr, flush=True)
        write(outcomes, setting.device, folder)
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description="Check on one GPU what is claimed of GPUs.")
    parser.add_argument("--device", default="cuda:0", help="a GPU, or cpu, to try the checks themselves (default: cuda:0)")
    parser.add_argument("--out", default="results/gpu-check", help="folder of the report and of what checks leave (default: results/gpu-check)")
    parser.add_argument("--only", nargs="+", choices=[check.name for check in CHECKS], help="these checks alone")
    parser.add_argument("--small", action="store_true", help="sizes that show that the checks run, and nothing else")
    parser.add_argument("--here", action="store_true", help="the first chosen check in this process, as the others call it")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
