"""What a page consists of: sections of blocks. Texts are as they were stored; `html` escapes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Head:
    """The head of a column. `note` explains it; numbers are aligned to the right."""

    text: str
    numeric: bool = False
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """The text of a table's cell; `value` is what numbers sort by, and `strong` marks one that is not significantly worse than the best."""

    text: str
    value: float | None = None
    strong: bool = False


class Block:
    """Base of all blocks; `kind` names the template's macro that shows one."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """Paragraphs."""

    paragraphs: Sequence[str]
    kind = "text"


@dataclass(frozen=True)
class Code(Block):
    """Text in lines as they are: a command, a file, a traceback."""

    label: str
    text: str
    kind = "code"


@dataclass(frozen=True)
class Table(Block):
    """A table that sorts by every column, and that a text filters where it has many rows; the first `keys` columns name the row."""

    caption: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Entry]]
    keys: int = 1
    notes: Sequence[str] = ()
    kind = "table"


@dataclass(frozen=True)
class Control:
    """A choice above a chart: of what an axis shows (`axis` is x or y), or of the points that are shown (those whose `field` has the value)."""

    label: str
    options: Sequence[str]
    axis: str = ""
    field: str = ""
    chosen: str = ""


@dataclass(frozen=True)
class Chart(Block):
    """An interactive chart: a Vega-Lite `spec` without data, the data, and controls. `summary` and `table` say the same in words and numbers.

    `data` has `columns`, lists of equal length by field; the fields that axes choose from are among them. `series` instead has, for every curve, its
    fields with the lists `x` and `y`.
    """

    title: str
    summary: str
    spec: Mapping[str, Any]
    data: Mapping[str, Any]
    controls: Sequence[Control] = ()
    table: Table | None = None
    kind = "chart"


@dataclass(frozen=True)
class Picture:
    """A PNG as data: URI, its words, and its size in pixels."""

    words: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Gallery(Block):
    """Pictures of one kind."""

    title: str
    pictures: Sequence[Picture]
    note: str = ""
    kind = "gallery"


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are shown when asked for."""

    summary: str
    blocks: Sequence[Block]
    kind = "details"


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole page. `facts` are its first lines: a word and what it says."""

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()
