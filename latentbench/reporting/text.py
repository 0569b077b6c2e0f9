"""Plain tables, as commands print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate


def table(body: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """A table whose values are texts as they stand: `1e3` is not read as a number."""
    return tabulate(body, header, tablefmt="simple", disable_numparse=True)


def size(n: float) -> str:
    """Bytes with their unit, as in `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"
