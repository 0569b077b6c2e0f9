"""The contract of notices: under which terms data may be used, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from latentbench.part import Registered


class Notice(Registered):
    """Base of all notices: who made the data that some data sets are prepared from, their terms, and where both are said.

    `datasets` are names of data sets; a report shows the notices of those that its runs were trained on.
    """

    datasets: ClassVar[Sequence[str]]
    terms: ClassVar[str]
    by: ClassVar[str]
    home: ClassVar[str]


def notice_problem(part: type[Notice]) -> str | None:
    """What is wrong with a notice, as a clause that follows its name; None where nothing is."""
    for name in ("terms", "by", "home"):
        text = getattr(part, name, None)
        if not (isinstance(text, str) and text):
            return f"has {name} = {text!r}; it must be a text"
    names = getattr(part, "datasets", None)
    if not (isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names)):
        return f"has datasets = {names!r}; it must be a list of names of data sets"
    return None
