"""Laws that parts must keep, and the comparisons that hold a part against one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Generator

from latentbench.streams import stream

LEVEL = 1e-6
"""False-alarm probability of a whole check, however many comparisons it makes."""
SAMPLES = 100_000


class UnmadeError(Exception):
    """No comparison can be made; the message is the reason, a clause."""

    status: ClassVar[Literal["inapplicable", "skipped"]]


class InapplicableError(UnmadeError):
    """A law says nothing about this part."""

    status = "inapplicable"


class SkippedError(UnmadeError):
    """A law is not tried here, as this machine lacks something (a file, a cluster)."""

    status = "skipped"


@dataclass(frozen=True)
class Trial:
    """One comparison.

    `kept` is its result where no chance is involved. With chance `p` is the probability, under the law, of what was found or of something less
    likely, and `resolution` says the smallest error that would be found with probability .99 where that many comparisons share the level.
    One with neither is a remark: a number worth knowing, which breaks no law.
    """

    text: str
    kept: bool | None = None
    p: float | None = None
    resolution: Callable[[int], str] | None = None

    @property
    def is_remark(self) -> bool:
        """Whether nothing was compared."""
        return self.kept is None and self.p is None


def holds(text: str, kept: object) -> Trial:
    """A comparison that involves no chance; `text` has its numbers."""
    return Trial(text, kept=bool(kept))


def remark(text: str) -> Trial:
    """A number worth knowing (a bias that the law allows, a variance); it is no comparison."""
    return Trial(text)


@dataclass(frozen=True)
class Effort:
    """How hard a part is tried.

    Args:
        samples: samples behind every statistical comparison.
        level: false-alarm probability of a check as a whole.
        seed: of all randomness of the kit.
        device: where the part computes.
    """

    samples: int = SAMPLES
    level: float = LEVEL
    seed: int = 0
    device: str = "cpu"

    def generator(self, *names: str | int) -> Generator:
        """The stream `names` of the kit's randomness, on the device."""
        return stream(self.seed, "testing", *names, device=self.device)

    def uniform(self, low: float, high: float, *size: int, name: str = "", dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """Numbers between `low` and `high`, of the stream `name`."""
        return low + (high - low) * torch.rand(size, generator=self.generator("uniform", name), dtype=dtype, device=self.device)


@dataclass(frozen=True)
class Check:
    """A law, and how a part is held against it.

    Args:
        name: one word or two, joined by `_`.
        law: the law in a sentence, with its equation.
        cause: what usually breaks it.
        trials: makes the comparisons for one subject, which is the part with one choice of its options.
        by_chance: whether comparisons draw samples, so that they may fail by chance.
    """

    name: str
    law: str
    cause: str
    trials: Callable[[Any, Effort], Iterable[Trial]]
    by_chance: bool = False


def check(law: str, cause: str, by_chance: bool = False) -> Callable[[Callable[[Any, Effort], Iterable[Trial]]], Check]:
    """Make a `Check` of the function that makes its comparisons; the check has the function's name."""

    def made(trials: Callable[[Any, Effort], Iterable[Trial]]) -> Check:
        return Check(trials.__name__, law, cause, trials, by_chance)

    return made
