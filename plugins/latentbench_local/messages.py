"""What a run's process tells the engine, through a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latentbench.api.engines import Failure


@dataclass(frozen=True)
class Memory:
    """Bytes of its GPU: the most that a process has had, and all that there are."""

    used: int
    capacity: int


@dataclass(frozen=True)
class Began:
    """The run has begun; `origin` are the columns of its row that say when and where."""

    origin: Mapping[str, Any]


@dataclass(frozen=True)
class Progressed:
    """`step` of `steps` is done; `first` was the first that this process did."""

    step: int
    steps: int
    first: int
    memory: Memory | None


@dataclass(frozen=True)
class Done:
    """The run has its row in the store: it is done, or it failed."""

    failure: Failure | None
    memory: Memory | None


@dataclass(frozen=True)
class OutOfMemory:
    """The run found too little memory, of which nothing is stored."""

    failure: Failure


@dataclass(frozen=True)
class Lost:
    """Another process has taken the run over."""


@dataclass(frozen=True)
class CannotStore:
    """Nothing can be stored any more, as the disk is full."""

    errno: int | None
    strerror: str | None
    filename: str | None


@dataclass(frozen=True)
class OtherCode:
    """The process has other code than the run was planned with."""

    reason: str


Message = Began | Progressed | Done | OutOfMemory | Lost | CannotStore | OtherCode
