"""The choice of a format."""

import pytest

from latentbench.errors import UserError
from latentbench.reporting.rendering import STYLES, render
from tests.reporting.rendering import boards

BEGINNINGS = {
    "terminal": "nelbo on",
    "github": "nelbo on",
    "latex": "% nelbo",
    "csv": "family,",
    "json": "{",
    "html": "<section",
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_renders_and_ends_without_a_line(style):
    text = render(boards.based(), style)
    assert text.startswith(BEGINNINGS[style])
    assert text == text.rstrip("\n")


def test_an_unknown_style_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown format 'latx' .did you mean 'latex'.*; known: csv, github, html, json, latex, terminal"):
        render(boards.ties(), "latx")
