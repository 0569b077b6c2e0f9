"""Named, independent random streams of a run. Nothing in latentbench draws from global state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream `names` of the run with `seed`: its hash, so streams are independent and do not depend on each other."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of the stream `names` of the run with `seed`."""
    generator = torch.Generator(device=device)
    generator.manual_seed(seed_of(seed, *names))
    return generator


@contextmanager
def forked(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run foreign code that draws from torch's global state on a seeded copy of that state, and put the state back.

    For samplers that take no generator: torch.distributions, the default initial values of torch.nn.
    """
    device = torch.device(device)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
