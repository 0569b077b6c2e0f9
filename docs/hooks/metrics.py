"""What evaluations and families declare of their metrics, as a page."""

from __future__ import annotations

from docstrings import cell, code, table

from latentbench.registry import load_registry


def page() -> str:
    """Every declared metric."""
    declared = sorted(load_registry().declarations().items())
    rows = [(code(name), measure.better or "", measure.unit or "", cell(measure.meaning)) for name, measure in declared]
    introduction = "What the installed plugins declare; `latentbench list metrics` prints it."
    return f"# Metrics\n\n{introduction}\n\n{table(('metric', 'better', 'unit', 'meaning'), rows)}"
