"""Terms of the data that runs were trained on, and of published numbers."""

from __future__ import annotations

from typing import cast

from latentbench.files import opened
from latentbench.reporting.extensions import load_reporting
from latentbench.reporting.notice import Notice
from latentbench.reporting.report.page import Block, Code, Details, Entry, Head, Table, Text
from latentbench.reporting.report.stored import Stored

HEADS = [Head("data set"), Head("by"), Head("terms"), Head("home")]
MAX_README = 30_000
"""Bytes of a folder's own description that are shown."""


def licences(stored: Stored) -> list[Block]:
    """The terms of every data set, and what folders of published numbers say of themselves."""
    notices = [cast("type[Notice]", part) for part in load_reporting().parts["notices"].values()]
    by_dataset = {name: notice for notice in notices for name in notice.datasets}
    rows = []
    for dataset in stored.runs["dataset"].dropna().unique():
        notice = by_dataset.get(dataset)
        said = ("", "not known to any plugin: ask where the data come from", "") if notice is None else (notice.by, notice.terms, notice.home)
        rows.append([Entry(str(dataset)), *map(Entry, said)])
    blocks: list[Block] = [Table("Terms of the data that runs were trained on", HEADS, rows)] if rows else []
    for path in stored.stores:
        readme = path / "README.md"
        if readme.is_file():
            with opened(readme) as file:
                text = file.read(MAX_README).decode(errors="replace")
            blocks.append(Details(f"What {path} says of itself", [Code("README.md", text)]))
    return [*blocks, Text(["latentbench, which wrote this page, has the MIT licence."])]
