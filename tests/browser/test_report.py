"""Reports in a real browser: they work, reach for no network, run no script of strangers, and can be read by all."""

import re

import pytest

from latentbench.reporting.report import write_report
from tests.made import make
from tests.reporting.report.hostile import HOSTILE, with_settings

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def quick(root, registry, tmp_path_factory):
    """The report of quick.yaml, with made-up numbers and some failures."""
    folder = tmp_path_factory.mktemp("quick")
    make(root / "suites" / "quick.yaml", folder / "results", failed=0.06, registry=registry)
    write_report([folder / "results"], folder / "report.html", root / "suites" / "quick.yaml")
    return folder / "report.html"


@pytest.fixture(scope="module")
def paper(root, registry, tmp_path_factory):
    """The report of paper.yaml: 1,600 runs."""
    folder = tmp_path_factory.mktemp("paper")
    make(root / "suites" / "paper.yaml", folder / "results", failed=0.01, registry=registry)
    write_report([folder / "results"], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The report of runs whose every name is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    with_settings(folder / "results", HOSTILE)
    write_report([folder / "results"], folder / "report.html", title=HOSTILE[0])
    return folder / "report.html"


def board(page):
    return page.locator("#leaderboards .table").first


def test_a_column_sorts_both_ways_with_missing_values_last(watched, quick):
    seen = watched(quick)
    table = board(seen.page)
    head = table.locator("thead th").nth(2)
    values = "rows => rows.map(row => row.cells[2].dataset.value).map(value => value === undefined ? null : Number(value))"

    def sorted_column():
        head.locator("button").click()
        return table.locator("tbody tr").evaluate_all(values)

    up = sorted_column()
    assert head.get_attribute("aria-sort") == "ascending"
    down = sorted_column()
    assert head.get_attribute("aria-sort") == "descending"
    there = [value for value in up if value is not None]
    assert len(there) > 5
    assert there == sorted(there)
    assert [value for value in down if value is not None] == there[::-1]
    assert all(value is None for value in up[len(there) :] + down[len(there) :])
    assert not seen.misdeeds


def test_sorting_is_reached_by_the_keyboard(watched, quick):
    seen = watched(quick)
    head = board(seen.page).locator("thead th").first
    head.locator("button").focus()
    seen.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    seen.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_filter_keeps_the_rows_that_have_all_words(watched, quick):
    seen = watched(quick)
    table = board(seen.page)
    table.locator("input").fill("POISSON mc")
    shown = [row for row in table.locator("tbody tr").all() if row.is_visible()]
    assert [row.locator("th").all_inner_texts() for row in shown] == [["poisson", "mc"]]
    assert re.fullmatch(r"1 of \d+ rows", table.locator("output").inner_text())
    table.locator("input").fill("")
    assert all(row.is_visible() for row in table.locator("tbody tr").all())
    assert not seen.misdeeds


def test_a_point_shows_its_run_when_hovered(watched, quick):
    seen = watched(quick)
    point = seen.page.locator("#charts figure.chart").first.locator("svg .mark-symbol.role-mark path").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    tooltip = seen.page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    words = tooltip.inner_text()
    assert re.search(r"\brun\s+[0-9a-f]{16}", words)
    assert "kl" in words
    assert not seen.misdeeds


def test_a_chart_shows_what_its_controls_choose(watched, quick):
    seen = watched(quick)
    figure = seen.page.locator("#charts figure.chart").first
    before = int(figure.locator(".plot").get_attribute("data-drawn"))
    figure.get_by_role("combobox", name="family").select_option("poisson")
    figure.get_by_role("combobox", name="vertical").select_option("sse_at_mean")
    seen.page.wait_for_function(f"document.querySelector('#charts .plot').dataset.drawn < {before}")
    assert 0 < int(figure.locator(".plot").get_attribute("data-drawn")) < before
    assert "sse_at_mean" in figure.locator("svg").text_content()
    assert not seen.misdeeds


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(watched, quick, scheme):
    from axe_playwright_python.sync_playwright import Axe

    seen = watched(quick, scheme=scheme)
    seen.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    found = Axe().run(seen.page).response
    assert len(found["passes"]) > 20
    faults = [(fault["id"], fault["nodes"][0]["html"]) for fault in found["violations"] if fault["impact"] in ("serious", "critical")]
    assert not faults


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_the_page(watched, quick, scheme, width):
    seen = watched(quick, scheme=scheme, width=width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    ink, ground = (seen.page.evaluate(f"getComputedStyle(document.documentElement).{name}") for name in ("color", "backgroundColor"))
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
    assert (light[0] < light[1]) is (scheme == "light")


def test_hostile_names_run_nothing(watched, hostile):
    seen = watched(hostile)
    for select in seen.page.locator(".controls select").all():
        for value in select.locator("option").all_inner_texts():
            select.select_option(label=value)
    seen.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    for point in seen.page.locator("svg .mark-symbol.role-mark path").all()[:10]:
        point.dispatch_event("mousemove")
    assert seen.page.locator("h1").inner_text() == HOSTILE[0]
    assert not seen.misdeeds


def test_a_page_whose_script_was_changed_does_not_run_it(watched, quick, tmp_path):
    """The policy holds in this browser: so the tests that find no violation mean something."""
    changed = tmp_path / "report.html"
    changed.write_text(quick.read_text(encoding="utf-8").replace("</main>", "</main><script>window.pwned = 1</script><p style='color: red'>"))
    seen = watched(changed)
    assert not seen.page.evaluate("'pwned' in window")
    assert any(directive.startswith("script-src") for directive in seen.page.evaluate("window.violations"))


def test_the_paper_opens_and_works(watched, paper):
    assert paper.stat().st_size < 10_000_000
    seen = watched(paper)
    table = board(seen.page)
    table.locator("thead th button").first.click()
    table.locator("input").fill("poisson")
    shown = table.locator("tbody tr:not([hidden])")
    assert shown.count() > 0
    assert all("poisson" in text for text in shown.all_inner_texts())
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 1400
    assert not seen.misdeeds


def test_printing_shows_what_is_folded(watched, quick):
    seen = watched(quick)
    assert len(seen.page.pdf()) > 10_000
    seen.page.emulate_media(media="print")
    assert not seen.page.locator("nav").is_visible()
    assert seen.page.locator("#leaderboards table").first.is_visible()
