"""Curves of time and memory over sizes, and their figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.harness import cpu_seconds, extra_memory

Curves = dict[str, list[tuple[float, float, float]]]
"""Label -> points: size, CPU milliseconds, MiB beyond what is there before."""


def point(at: float, work: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Time and memory of one call, as the median of `rounds` after a first one."""
    memory = extra_memory(work)
    work()
    return at, 1e3 * median(cpu_seconds(work) for _ in range(rounds)), memory / 2**20


def draw(panels: Mapping[str, Curves], path: Path) -> None:
    """A column a panel, time above memory, all axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(panels), figsize=(1 + 4 * len(panels), 7), squeeze=False)
    for column, (name, curves) in enumerate(panels.items()):
        for row, (position, unit) in enumerate(((1, "CPU milliseconds"), (2, "extra memory, MiB"))):
            axis = axes[row, column]
            for label, points in curves.items():
                axis.loglog([p[0] for p in points], [max(p[position], 0.1) for p in points], "o-", label=label)
            axis.set(xlabel=name, ylabel=unit)
            at = sorted({p[0] for points in curves.values() for p in points})
            axis.set_xticks(at, [f"{x:g}" if x < 10_000 else f"{x / 1000:g}k" for x in at], minor=False)
            axis.set_xticks([], minor=True)
    lines, labels = axes[0, 0].get_legend_handles_labels()  # panels of a figure have the same curves
    figure.legend(lines, labels, loc="upper center", ncols=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=110)
    plt.close(figure)
