"""Texts that strangers wrote, made visible, and numbers for people."""

from __future__ import annotations

import re
from math import isfinite

from latentbench.reporting.rendering import escaping

LINE = re.compile(r"[^\n\t]+")
"""What is between line feeds and tabs."""


def visible(text: str) -> str:
    r"""The text with hidden characters written out, as in `\u202e`: a name cannot pretend to be another one."""
    return text if text.isprintable() else LINE.sub(lambda found: escaping.visible(found[0]), text.replace("\r\n", "\n"))


def number(value: float | None, digits: int = 4) -> str:
    """A number in few digits; empty where there is none."""
    if value is None or value != value:  # noqa: PLR0124  # not a number
        return ""
    if not isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return text.replace("-", "−") if "e" not in text else text


def count(n: int, what: str, several: str = "") -> str:
    """`1 run`, `1,200 runs`."""
    return f"{n:,} {what if n == 1 else several or f'{what}s'}"
