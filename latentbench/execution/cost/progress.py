"""Progress of measurements, on standard error: what is printed of them goes to standard output."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

from latentbench.execution.cost.kind import Kind


class Measuring:
    """Tells which kind of run is measured next: in one line that changes on a terminal, in a line each in a log."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.status = self.console.status("measuring")
        self.done = self.total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.status.stop()
        if kind is KeyboardInterrupt:
            self._say(f"interrupted: {self.done} of {self.total} kinds are measured, which the same command does not measure again")

    def tell(self, done: int, total: int, kind: Kind) -> None:
        """A kind is measured next."""
        self.done, self.total = done, total
        text = f"measuring kind {done + 1} of {total}: {kind.label}"
        if self.console.is_terminal:
            self.status.update(text.replace("[", "\\["))  # which would be markup
            self.status.start()
        else:
            self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)
