"""The state of the process, which parts neither read nor change: global generators and the settings of torch and numpy."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from latentbench.streams import seed_of

T = TypeVar("T")


@contextmanager
def watched(seed: int) -> Iterator[list[str]]:
    """Seed the global generators for what is called within, and restore them afterwards.

    Yields a list that names, after the context, which global state was changed within. Two calls under different seeds that give the same
    have not read the generators.
    """
    changed: list[str] = []
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    number = seed_of(seed, "testing", "global state") % 2**32  # none that a part would choose
    torch.default_generator.manual_seed(number)
    np.random.seed(number)
    random.seed(number)
    before = _state()
    try:
        yield changed
    finally:
        after = _state()
        changed += [name for name, value in before.items() if after[name] != value]
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
        torch.set_default_dtype(before["torch's default dtype"])
        torch.set_num_threads(before["the number of torch's threads"])
        torch.set_grad_enabled(before["whether torch records gradients"])


def undisturbed(compute: Callable[[], T], seed: int) -> tuple[T, bool]:
    """What `compute` returns with the global generators seeded, and whether it leaves the global state as it was."""
    with watched(seed) as changed:
        result = compute()
    return result, not changed


def _state() -> dict[str, Any]:
    """What can be compared of the global state, by its name in a message."""
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "the global generators of the GPUs": [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()] if cuda else [],
        "numpy's global generator": repr([np.asarray(part).tobytes() for part in np.random.get_state()]),
        "random's global generator": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "the number of torch's threads": torch.get_num_threads(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "the working folder": os.getcwd(),
    }
