"""MkDocs hook: a page of the site that would load something from elsewhere fails the build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ADDRESS = r"""["']?((?:https?:)?//[^"' >]+)"""
LOADED = re.compile(
    rf"""<(?:script|img|iframe|source)\b[^>]*\bsrc={ADDRESS}|<link\b[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon)["']?[^>]*\bhref={ADDRESS}"""
)


def foreign(html: str) -> list[str]:
    """What a page loads from other servers when it is opened; links that a reader may follow are not meant."""
    return [found[1] or found[2] for found in LOADED.finditer(html)]


def on_post_build(config: MkDocsConfig) -> None:
    """Check every page that was built.

    Raises:
        PluginError: one loads something from elsewhere.
    """
    from mkdocs.exceptions import PluginError

    for path in sorted(Path(config.site_dir).rglob("*.html")):
        if loaded := foreign(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path} loads {', '.join(loaded)}: the site must work offline")
