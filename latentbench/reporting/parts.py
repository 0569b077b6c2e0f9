"""What plugins provide, as text."""

from __future__ import annotations

import inspect

from latentbench.errors import shortened
from latentbench.registry import KINDS, Registry, load_registry
from latentbench.reporting.text import table


def parts_text(kind: str | None) -> str:
    """The parts of one kind, or of all with the kind before each table; then the plugins that could not be loaded."""
    registry = load_registry()
    tables = [_parts(kind, registry)] if kind else [f"{kind}:\n{_parts(kind, registry)}\n" for kind in KINDS]
    return "\n".join([*tables, *(f"could not be loaded: plugin '{plugin}': {reason}" for plugin, reason in sorted(registry.broken.items()))])


def _parts(kind: str, registry: Registry) -> str:
    body = []
    for part in sorted(registry.parts[kind].values(), key=lambda part: part.name):
        options = ", ".join(f"{key}={field.get_default(call_default_factory=True)}" for key, field in part.options_model.model_fields.items())
        summary = (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")
        body.append((part.name, getattr(part, "version", "-"), registry.providers[part], options, shortened(summary, 90)))
    return table(body, ("name", "version", "plugin", "options", "what it is"))
