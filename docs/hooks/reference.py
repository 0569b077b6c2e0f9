"""MkDocs hook: the reference is generated from the code when the site is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import commands
import contracts
import hook_specs
import metrics
import parts
import results_tables
import suite_files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGES = {
    "reference/commands.md": commands.page,
    "reference/hooks.md": hook_specs.page,
    "reference/results.md": results_tables.page,
    "reference/metrics.md": metrics.page,
    "reference/parts.md": parts.page,
    "reference/suite-files.md": suite_files.page,
    **contracts.pages(),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of docs/."""
    from mkdocs.structure.files import File

    for place, render in PAGES.items():
        files.append(File.generated(config, place, content=render()))
    return files
