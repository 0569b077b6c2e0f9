"""Every registered part as a page: what it is, and its options."""

from __future__ import annotations

from docstrings import docstring
from suite_files import fields_table

from latentbench.part import Registered
from latentbench.registry import load_registry

TITLES = {
    "families": "Families",
    "estimators": "Estimators",
    "likelihoods": "Likelihoods",
    "networks": "Networks",
    "datasets": "Data sets",
    "evaluations": "Evaluations",
    "engines": "Engines",
}


def page() -> str:
    """All kinds of parts, as `latentbench list` has them."""
    registry = load_registry()
    introduction = "# Parts and their options\n\nWhat the plugins that come with latentbench provide. `latentbench list` prints what is installed."
    sections = [
        f"## {TITLES[kind]}\n\n" + "\n\n".join(_part(part, registry.providers[part]) for _, part in sorted(registry.parts[kind].items()))
        for kind in TITLES
    ]
    return "\n\n".join([introduction, *sections]) + "\n"


def _part(part: type[Registered], plugin: str) -> str:
    version = getattr(part, "version", None)
    about = f"*`{plugin}`{f', version {version}' if version else ''}*"
    return "\n\n".join(text for text in (f"### {part.name}", about, docstring(part), fields_table(part.options_model)) if text)
