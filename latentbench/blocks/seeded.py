"""Seeded use of samplers that take no generator, such as those of torch.distributions."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Generator

from latentbench.streams import forked, seed_of


def seeded(generator: Generator) -> AbstractContextManager[None]:
    """A context in which torch's global random state is seeded from `generator`; the state from before is restored at its end.

    `with seeded(generator): z = q.rsample()` makes a sampler that draws from global state reproducible, and independent of whatever else draws
    from there. What it draws has its exact distribution and its own gradient. One integer below 2^62 is drawn from `generator` and becomes the
    seed, so two contexts with one generator differ, and collide with probability 2^-62.

    Only torch's state is seeded, on the CPU and, for a generator of a CUDA device, on that device: numpy's and Python's own are not. Not for several
    threads at once, which share the global state.

    Args:
        generator: where the seed comes from. The host does not wait for a CUDA device: there the seed is a hash of the generator's state, which the
            host has, and the integer that is drawn moves that state on.

    Returns:
        The context manager. Saving and restoring the CPU's state costs some 10 microseconds, whatever is drawn inside.
    """
    return forked(_seed(generator), generator.device)


def _seed(generator: Generator) -> int:
    state = generator.get_state()
    drawn = torch.randint(2**62, (), generator=generator, device=generator.device)
    return int(drawn) if drawn.device.type == "cpu" else seed_of(0, state.numpy().tobytes().hex())
