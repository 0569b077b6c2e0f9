"""Texts of strangers."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentbench.reporting.rendering import escaping


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("größe β 日本", "größe β 日本"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202e\u2028", r"\u202e\u2028"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert escaping.visible(text) == shown


@given(st.text())
def test_nothing_obeyed_is_left(text):
    for escape in (escaping.visible, escaping.github, escaping.html, escaping.latex, escaping.spreadsheet):
        found = escape(text)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", found)
        found.encode()
    assert not re.search(r"[<>\"']", escaping.html(text))
    assert html.unescape(escaping.html(text)) == escaping.visible(text)
    assert not re.search(r"(?<!\\)(\\\\)*\|", escaping.github(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@someone", "@<!-- -->someone"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("1.5", "1.5"),
        ("-1", "-1"),
        ("`x` $y$", r"\`x\` \$y\$"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_markdown(text, shown):
    assert escaping.github(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a--b", "a-{}-b"), ("---", "-{}-{}-"), ("*", "{*}"), ("?`", "?{\\char96}"), ("a\\b", r"a\textbackslash{}b"), ("±", r"$\pm$")],
)
def test_latex(text, shown):
    assert escaping.latex(text) == shown


@pytest.mark.parametrize(("text", "shown"), [("=1", "'=1"), ("-x", "'-x"), ("-1", "-1"), ("@a", "'@a"), ("a=b", "a=b"), ("", ""), ("\t=1", r"\t=1")])
def test_spreadsheets(text, shown):
    assert escaping.spreadsheet(text) == shown
