"""Standard output and error that print on any terminal, and survive the end of their reader."""

from __future__ import annotations

import codecs
import io
import os
import sys

PLAIN = {"±": "+/-", "…": "...", "─": "-", "—": "-", "–": "-"}
"""What is printed for characters that the terminal's encoding does not have; others are escaped."""


def prepare_terminal() -> None:
    """Let no command fail because of its output or its reader.

    In `latentbench run ... | head` the runs are trained to their end: what is printed after the reader has gone is lost, and nothing else.
    """
    codecs.register_error("latentbench", _plainly)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as by `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # for as long as the process lives
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="latentbench")
            if stream is getattr(sys, f"__{name}__") and not isinstance(stream, _Outliving):
                setattr(sys, name, _Outliving(stream.buffer, stream.encoding, "latentbench", line_buffering=stream.line_buffering))


class _Outliving(io.TextIOWrapper):
    """A stream that drops output once its reader is gone."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Send this stream, and the rest of its buffer, to the null device."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = "".join(PLAIN.get(character, f"\\u{ord(character):04x}") for character in error.object[error.start : error.end])
    return plain, error.end
