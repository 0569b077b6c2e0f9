"""Plain tables, texts and JSON, as commands print them."""

from __future__ import annotations

import inspect
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tabulate import tabulate

NARROWEST, WIDEST = 60, 160
"""Columns between which texts are fitted to the terminal."""


def table(body: Sequence[Sequence[Any]], header: Sequence[str] = (), style: str = "simple") -> str:
    """A table whose values are texts as they stand: `1e3` is not read as a number. What strangers wrote is neutralised."""
    rows = [[plain(cell) for cell in row] for row in body]
    return tabulate(rows, [plain(name) for name in header], tablefmt=style, disable_numparse=True)


def plain(text: object) -> str:
    """A text in one line, as it may be printed: characters that move the cursor, colour or hide text are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def first_paragraph(of: type) -> str:
    """That of a class's docstring, in one line."""
    return " ".join((inspect.getdoc(of) or "").partition("\n\n")[0].split())


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, NARROWEST), WIDEST)


def size(n: float) -> str:
    """Bytes with their unit, as in `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def json_text(value: Any) -> str:
    """A value as JSON: numbers that are not finite are null, times are in ISO 8601, and all but ASCII is escaped."""
    return json.dumps(_as_json(value), indent=2, allow_nan=False)


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_as_json(inner) for inner in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
