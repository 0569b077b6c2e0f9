"""What `--compile` gives: the time of a step with and without, and whether they train alike."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.gpu_check.check import Finding, Setting
from benchmarks.gpu_check.work import CONV, LINEAR, begin, seconds_of
from latentbench.training.train import train

MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear Poisson": (LINEAR, {"latent_dim": 64, "training.batch_size": 200}),
    "linear Gaussian": (LINEAR, {"family": "gaussian", "latent_dim": 64, "training.batch_size": 200}),
    "conv Poisson": (CONV, {"training.batch_size": 200}),
}


def check(setting: Setting) -> Iterator[Finding]:
    """Small models, whose launches count most, and a convolutional one."""
    for name, (base, changes) in list(MODELS.items())[: 1 if setting.small else None]:
        times, losses, start = [], [], time.monotonic()
        for compiled in (False, True):
            state, data, run = begin({**changes, "compile": compiled}, setting, 4000, base)
            loop = train(state, data, run)
            for _ in range(5):
                next(loop)
            times.append(seconds_of(partial(next, loop), setting.device, rounds=3, repeat=2 if setting.small else 10))
            losses.append(float(state.window["surrogate"] / state.window["steps"]))
        far = abs(losses[1] - losses[0]) / abs(losses[0])
        found = f"{1e3 * times[1]:.2f} ms compiled, {1e3 * times[0]:.2f} ms not; {time.monotonic() - start:.0f} s in all"
        yield Finding(f"{name} step, batch 200", found)
        yield Finding(f"{name}, mean loss compiled and not, relative difference", f"{far:.1e}", "below 1e-3", math.isfinite(far) and far < 1e-3)
