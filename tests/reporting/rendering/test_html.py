"""Leaderboards as HTML."""

from html.parser import HTMLParser

import pytest

from latentbench.reporting.rendering import render
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import BOARDS, HOSTILE

VOID = {"br"}


class Page(HTMLParser):
    """Elements with their attributes, and the rows of the table as (tag, attributes, text)."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.rows = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1][2] += data


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("details", [False, True])
def test_elements_are_closed_and_rows_are_as_wide(name, details):
    page = Page(render(BOARDS[name](), "html", details=details))
    assert len({sum(int(attributes.get("colspan", 1)) for _, attributes, _ in row) for row in page.rows}) == 1
    assert {tag for tag, _ in page.tags} <= {
        "section",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "strong",
        "span",
        "sup",
        "ul",
        "li",
        "br",
    }


def test_headers_have_scopes():
    page = Page(render(boards.wide(), "html"))
    assert [[(a["scope"], a.get("colspan"), text) for tag, a, text in row if tag == "th"] for row in page.rows[:2]] == [
        [("row", "1", "dataset"), *(("colgroup", "4", name) for name in ("cifar16", "mnist", "van_hateren"))],
        [("row", "1", "encoder"), *[("colgroup", "2", "conv"), ("colgroup", "2", "linear")] * 3],
    ]
    assert {a["scope"] for _, a, _ in page.rows[2]} == {"col"}
    assert [(row[0][0], row[0][1]["scope"]) for row in page.rows[3:]] == [("th", "row")] * 8


def test_cells_have_classes_and_numbers():
    rows = Page(render(boards.based(), "html")).rows
    assert rows[1][1:] == [
        ["td", {"class": "value best", "data-value": "133.12"}, "133.12 ± 0.80 a"],
        ["td", {"class": "rank"}, "1-2"],
        ["td", {"class": "difference"}, "baseline"],
    ]
    assert rows[3][1][2] == "134.60 ± 0.70 b (n = 4, 1 failed) 1"
    assert "data-value" not in rows[4][1][1]


def test_names_are_text():
    text = render(boards.hostile(), "html")
    rows = Page(text).rows
    assert [row[0][2] for row in rows[1:]] == [name if name.isprintable() else rows[i + 1][0][2] for i, name in enumerate(HOSTILE)]
    assert "<script" not in text
    assert r"\x1b[31mred" in text
    assert text.count("</table>") == 1
