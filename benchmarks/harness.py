"""Timing two ways of one thing against each other, and their memory."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from tabulate import tabulate


@dataclass(frozen=True)
class Row:
    """One line of the table: medians in CPU seconds, and the ratio baseline / ours with its smallest and largest value over rounds.

    `products` are the ratios of a training step to the matrix products that it cannot do without, which travel between machines.
    """

    work: str
    ours: float
    baseline: float
    ratios: tuple[float, ...]
    gate: float | None = None
    aim: float | None = None
    memory: tuple[int, int] | None = None
    products: tuple[float, ...] = ()
    products_gate: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the median ratios reach their gates; None without one."""
        reached = [median(self.ratios) >= self.gate] if self.gate is not None else []
        reached += [median(self.products) <= self.products_gate] if self.products_gate is not None else []
        return all(reached) if reached else None


def measure(
    work: str,
    ours: Callable[[], object],
    baseline: Callable[[], object],
    rounds: int,
    gate: float | None = None,
    aim: float | None = None,
    memory: bool = False,
    scale: float = 1.0,
    products: Callable[[], object] | None = None,
    products_gate: float | None = None,
) -> Row:
    """Time both sides in turn, and a step's `products`, `rounds` times after a warm-up.

    `scale` multiplies the baseline's time, where it does a part of the work.
    """
    peaks = (extra_memory(ours), extra_memory(baseline)) if memory else None
    ours()
    times = [(cpu_seconds(ours), scale * cpu_seconds(baseline), cpu_seconds(products) if products else 0.0) for _ in range(rounds)]
    ours_median, baseline_median, _ = (median(column) for column in zip(*times, strict=True))
    multiples = tuple(a / c for a, _, c in times) if products else ()
    ratios = tuple(b / a for a, b, _ in times)
    return Row(work, ours_median, baseline_median, ratios, gate, aim, peaks, multiples, products_gate)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def extra_memory(work: Callable[[], object]) -> int:
    """Peak resident memory of one call beyond what is there before it, in bytes, measured in a forked process (Linux with glibc).

    A first call loads code and starts threads, which takes some 20 MiB whatever the work; what it frees is given back before the second is measured.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        work()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is resident now
        before = _status("VmRSS")
        work()
        os.write(writer, str(_status("VmHWM") - before).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return int(answer)


def _status(name: str) -> int:
    (line,) = [text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(name)]
    return int(line.split()[1]) * 1024


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    header = (
        "work",
        "ours, ms",
        "baseline, ms",
        "times faster (min to max)",
        "gate",
        "aim",
        "times its products (gate)",
        "extra memory, ours / baseline",
        "gates met",
    )
    body = [
        (
            row.work,
            f"{1e3 * row.ours:.1f}",
            f"{1e3 * row.baseline:.0f}",
            f"{median(row.ratios):.1f} ({min(row.ratios):.1f} to {max(row.ratios):.1f})",
            "" if row.gate is None else f"{row.gate:g}",
            "" if row.aim is None else f"{row.aim:g}",
            _multiple(row),
            "" if row.memory is None else f"{row.memory[0] / 2**20:.0f} / {row.memory[1] / 2**20:.0f} MiB",
            {None: "", True: "yes", False: "NO"}[row.passed],
        )
        for row in rows
    ]
    return tabulate(body, header, tablefmt="github", disable_numparse=True)


def _multiple(row: Row) -> str:
    gate = "" if row.products_gate is None else f" ({row.products_gate:g})"
    return f"{median(row.products):.2f}{gate}" if row.products else ""


def has_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16 (Linux on x86)."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def machine() -> str:
    """The machine in a line."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, one used; Python {platform.python_version()}, torch {torch.__version__}"
