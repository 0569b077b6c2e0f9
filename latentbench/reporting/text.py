"""Plain tables, as commands print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate


def table(body: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """A table whose values are texts as they stand: `1e3` is not read as a number."""
    return tabulate(body, header, tablefmt="simple", disable_numparse=True)
