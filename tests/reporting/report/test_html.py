"""The page as HTML: it loads and runs nothing that its policy does not list, and texts of strangers stay texts."""

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from latentbench.errors import UserError
from latentbench.reporting.report import page, write_report
from latentbench.reporting.report.html import to_html
from latentbench.reporting.report.page import Chart, Entry, Head, Page, Section, Table, Text
from latentbench.reporting.report.text import number, visible
from tests.reporting.report.hostile import HOSTILE, with_settings


@pytest.fixture(scope="module")
def written(quick):
    """Their page, as text."""
    out = quick.folder.parent / "report.html"
    write_report([quick.folder], out)
    return out.read_text(encoding="utf-8")


class Parsed(HTMLParser):
    """The elements of a page, with their attributes, and the content of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.raw, self._inside = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.raw.append([tag, dict(attrs), ""])
            self._inside = tag

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.raw[-1][2] += data


def table_page(*rows, **texts):
    table = Table("caption", [Head("name")], [[Entry(row)] for row in rows])
    return to_html(Page(texts.get("title", "title"), sections=[Section("one", "One", [table, Text([texts.get("text", "text")])])]))


def test_every_section_is_there(written):
    titles = re.findall(r'<h2 id="[\w-]+">([^<]*)</h2>', written)
    assert titles[:3] == ["What was asked", "Verdicts", "Leaderboards"]
    assert {"Charts", "Pictures", "Failures", "Cost", "Provenance", "How to repeat it"} <= set(titles)


def test_nothing_is_loaded_from_elsewhere(written):
    elements = Parsed(written).elements
    loading = [value for tag, attrs in elements for name, value in attrs.items() if name in ("src", "srcset", "href", "data", "action", "poster")]
    assert loading
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in loading)
    assert not {tag for tag, _ in elements} & {"link", "iframe", "object", "embed", "base", "form"}


def test_no_attribute_runs_code_or_sets_a_style(written):
    assert not [name for _, attrs in Parsed(written).elements for name in attrs if name.startswith("on") or name == "style"]


def test_the_policy_lists_exactly_the_scripts_and_the_style_that_are_there(written):
    parsed = Parsed(written)
    (policy,) = [attrs["content"] for tag, attrs in parsed.elements if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    executed = [(kind, text) for kind, attrs, text in parsed.raw if attrs.get("type") is None]
    hashes = [(kind, f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'") for kind, text in executed]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [value for kind, value in hashes if kind == "script"]
    assert rules["style-src"].split() == [value for kind, value in hashes if kind == "style"]
    assert "unsafe" not in policy


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    html = table_page(text, title=text, text=text)
    parsed = Parsed(html)
    assert [tag for tag, _ in parsed.elements].count("script") == 2  # Vega, and the page's own
    assert not [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]
    assert "49" not in re.findall(r"<th scope=row>([^<]*)", html)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_cannot_end_the_data_of_a_chart(text):
    chart = Chart("chart", "summary", {"title": text}, {"columns": {"model": [text]}})
    html = to_html(Page("title", sections=[Section("one", "One", [chart])]))
    (data,) = [content for kind, attrs, content in Parsed(html).raw if kind == "script" and attrs.get("type") == "application/json"]
    assert json.loads(data)["spec"]["title"] == visible(text)
    assert not set("<>&\u2028\u2029") & set(data)


def test_hidden_characters_are_written_out():
    assert visible("a\u202eb\u200bc\x00d\ud800") == r"a\u202eb\u200bc\x00d\ud800"
    assert visible("ä\n\t± 1") == "ä\n\t± 1"


def test_numbers_are_short_and_say_what_is_not_finite():
    assert [number(value) for value in (None, float("nan"), float("inf"), -1.5, 1234567.0, 1e-9)] == ["", "", "∞", "−1.5", "1,234,567", "1e-09"]


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    from latentbench.reporting.report.html import vega

    vega.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'latentbench\[report\]'"):
        vega()
    monkeypatch.undo()
    vega.cache_clear()


def test_hostile_names_in_a_folder_stay_text(tmp_path):
    with_settings(tmp_path, HOSTILE)
    parsed = Parsed(to_html(page([tmp_path])))
    assert sum(1 for tag, attrs in parsed.elements if tag == "script" and attrs.get("type") is None) == 2
    assert not [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]


def test_the_bundled_script_is_kept_between_reports(monkeypatch, tmp_path):
    import vl_convert

    from latentbench.reporting.report.html import vega

    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path))
    vega.cache_clear()
    bundled = vega()
    monkeypatch.delattr(vl_convert, "javascript_bundle")
    vega.cache_clear()
    assert vega() == bundled
