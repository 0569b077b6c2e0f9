"""How many kernels a training step launches, counted by torch's profiler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_check.check import Finding, Setting
from benchmarks.gpu_check.work import CONV, LINEAR, begin, wait
from latentbench.training.train import train

STEPS = 5
MODELS: dict[str, tuple[Mapping[str, Any], str]] = {
    "linear Gaussian": (LINEAR, "gaussian"),
    "linear Poisson": (LINEAR, "poisson"),
    "conv Poisson": (CONV, "poisson"),
}
KERNEL = 12
"""How many launches more than a Gaussian step a Poisson step may have: its sampler is one, where a loop had a dozen an arrival."""


def check(setting: Setting) -> Iterator[Finding]:
    """Launches a step on a GPU; on the CPU operations of torch."""
    counts = {name: _count(setting, base, family) for name, (base, family) in MODELS.items()}
    for name, count in counts.items():
        yield Finding(f"{'launches' if setting.cuda else 'operations'} a step, {name}", f"{count:.0f}")
    more = counts["linear Poisson"] - counts["linear Gaussian"]
    if setting.cuda:
        yield Finding("launches of a Poisson step beyond a Gaussian one's", f"{more:.0f}", f"at most {KERNEL}", more <= KERNEL)


def _count(setting: Setting, base: Mapping[str, Any], family: str) -> float:
    batch = 20 if setting.small else 200
    loop = train(*begin({"family": family, "training.batch_size": batch}, setting, 20 * batch, base))
    for _ in range(3):
        next(loop)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setting.cuda else [])]
    with profile(activities=activities) as recorded:
        for _ in range(STEPS):
            next(loop)
        wait(setting.device)
    starts = ("cudaLaunchKernel", "cuLaunchKernel", "cudaMemcpyAsync", "cudaMemsetAsync") if setting.cuda else ("aten::",)
    return sum(int(event.count) for event in recorded.key_averages() if event.key.startswith(starts)) / STEPS
