"""Stored results, read: leaderboards, verdicts, figures and reports. The door for users in Python, and for authors of figures and derived metrics.

What is here keeps its name and meaning, and so does `latentbench.reporting.drawing`, for figures. It imports no torch, and nothing at all before a
name is used: what a name needs (pandas, scipy) takes longer to import than most commands take.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentbench.errors import UserError
    from latentbench.measure import Measure
    from latentbench.part import Options
    from latentbench.reporting.canvas import Canvas
    from latentbench.reporting.comparison import Cell, Column, Comparison, Contrast
    from latentbench.reporting.contrasts import Statistics
    from latentbench.reporting.derived import Derived, alike, arrays_of, by_seed, named, summary, units_of, varying
    from latentbench.reporting.figure import Figure
    from latentbench.reporting.figures import nothing
    from latentbench.reporting.grouping import Point, Usual, grouped, natural, telling
    from latentbench.reporting.leaderboard import compare
    from latentbench.reporting.notice import Notice
    from latentbench.reporting.query import Query
    from latentbench.reporting.selecting import declarations, select
    from latentbench.reporting.statistics import half_width
    from latentbench.reporting.study import Study, Summary
    from latentbench.results.selection import column_of, matching

__all__ = [
    "Canvas",
    "Cell",
    "Column",
    "Comparison",
    "Contrast",
    "Derived",
    "Figure",
    "Measure",
    "Notice",
    "Options",
    "Point",
    "Query",
    "Statistics",
    "Study",
    "Summary",
    "UserError",
    "Usual",
    "alike",
    "arrays_of",
    "by_seed",
    "column_of",
    "compare",
    "declarations",
    "grouped",
    "half_width",
    "matching",
    "named",
    "natural",
    "nothing",
    "select",
    "summary",
    "telling",
    "units_of",
    "varying",
]
PLACES = {
    "latentbench.errors": ("UserError",),
    "latentbench.measure": ("Measure",),
    "latentbench.part": ("Options",),
    "latentbench.reporting.canvas": ("Canvas",),
    "latentbench.reporting.comparison": ("Cell", "Column", "Comparison", "Contrast"),
    "latentbench.reporting.contrasts": ("Statistics",),
    "latentbench.reporting.derived": ("Derived", "alike", "arrays_of", "by_seed", "named", "summary", "units_of", "varying"),
    "latentbench.reporting.figure": ("Figure",),
    "latentbench.reporting.figures": ("nothing",),
    "latentbench.reporting.grouping": ("Point", "Usual", "grouped", "natural", "telling"),
    "latentbench.reporting.leaderboard": ("compare",),
    "latentbench.reporting.notice": ("Notice",),
    "latentbench.reporting.query": ("Query",),
    "latentbench.reporting.selecting": ("declarations", "select"),
    "latentbench.reporting.statistics": ("half_width",),
    "latentbench.reporting.study": ("Study", "Summary"),
    "latentbench.results.selection": ("column_of", "matching"),
}
"""The names of each module."""
_MODULES = {name: module for module, names in PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)
