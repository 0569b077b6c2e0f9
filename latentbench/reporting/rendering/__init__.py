"""Leaderboards as text: for a terminal, GitHub, LaTeX, CSV, JSON and HTML."""

from latentbench.reporting.rendering.cells import cell_text
from latentbench.reporting.rendering.formats import STYLES, render

__all__ = ["STYLES", "cell_text", "render"]
