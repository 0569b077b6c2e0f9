"""Handling signals otherwise for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


def stopped_by(numbers: Iterable[signal.Signals]) -> AbstractContextManager[None]:
    """Let these signals do what Ctrl-C does, raise KeyboardInterrupt, but for those that are ignored, as SIGHUP is under nohup."""
    return handled(heeded(numbers), signal.default_int_handler)


def heeded(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those that are not ignored."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def deaf_to(numbers: Iterable[signal.Signals]) -> AbstractContextManager[None]:
    """Ignore these signals: what stops is stopping already."""
    return handled(numbers, signal.SIG_IGN)


@contextmanager
def deferred(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Let signals that have a handler wait."""
    waiting: list[int] = []
    with_handler = [number for number in numbers if callable(signal.getsignal(number))]
    with handled(with_handler, lambda number, frame: waiting.append(number)):
        yield
    for number in waiting:
        signal.raise_signal(number)


@contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    """Handle signals by `handler`, where this is the main thread, which alone may say so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
