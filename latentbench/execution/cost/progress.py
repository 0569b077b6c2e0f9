"""Progress of measurements, on standard error: what is printed of them goes to standard output."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console

Tell = Callable[[int, int, str], None]
"""Told before something is measured: how many are measured, of how many, and a label of the next."""


class Measuring:
    """Tells what is measured next: in one line that changes on a terminal, in a line each in a log.

    Args:
        what: a word for what is measured one after the other, as `kind`.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.console = Console(stderr=True, highlight=False)
        self.status = self.console.status("measuring")
        self.done = self.total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.status.stop()
        if kind is KeyboardInterrupt:
            self._say(f"interrupted: {self.done} of {self.total} {self.what}s are measured, which the same command does not measure again")

    def tell(self, done: int, total: int, label: str) -> None:
        """What `label` names is measured next."""
        self.done, self.total = done, total
        text = f"measuring {self.what} {done + 1} of {total}: {label}"
        if self.console.is_terminal:
            self.status.update(text.replace("[", "\\["))  # which would be markup
            self.status.start()
        else:
            self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
