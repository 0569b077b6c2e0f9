"""The pages of docs/mathematics name everything that is registered, and state the defaults, constants and files that the code has."""

import ast
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from latentbench.models.iterative import IterativeOptions
from latentbench.registry import load_registry
from latentbench.reporting.extensions import load_reporting
from latentbench.suites.expect import Verify
from latentbench.suites.settings import Training

ROOT = Path(__file__).parent.parent.parent
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs" / "mathematics").glob("*.md"))}
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| (`[^|]*`|required) \|", re.MULTILINE)


def section(page, heading):
    """The text below the heading that begins with `heading`, up to the next of its level."""
    found = [match for match in HEADING.finditer(PAGES[page]) if match[2].startswith(heading)]
    assert len(found) == 1, f"{page}: {len(found)} headings begin with {heading}"
    after = [match.start() for match in HEADING.finditer(PAGES[page]) if match.start() > found[0].start() and len(match[1]) <= len(found[0][1])]
    return PAGES[page][found[0].end() : min(after, default=None)]


def ours(parts):
    """Those that this repository's plugins register; tests install another."""
    return {name: part for name, part in parts.items() if Path(inspect.getfile(part)).is_relative_to(ROOT / "plugins")}


@dataclass(frozen=True)
class Documented:
    page: str
    heading: str
    part: type | None
    options: type

    def __str__(self):
        return f"{self.page}-{self.heading}"


def documented():
    registered = load_registry().parts
    kinds = {kind: registered[kind] for kind in ("families", "estimators", "likelihoods", "evaluations")} | {
        "derived": load_reporting().parts["derived"]
    }
    parts = [Documented(f"{kind}.md", f"`{name}`", part, part.options_model) for kind, found in kinds.items() for name, part in ours(found).items()]
    others = [("index.md", "Schedules", Training), ("families.md", "Iterative families", IterativeOptions), ("statistics.md", "Verdicts", Verify)]
    return [*parts, *(Documented(page, heading, None, options) for page, heading, options in others)]


DOCUMENTED = documented()
each = pytest.mark.parametrize("it", DOCUMENTED, ids=str)


def stated(text):
    """The default in a cell of a table: JSON, or a text."""
    try:
        return json.loads(text.strip("`"))
    except ValueError:
        return text.strip("`")


def defaults(options):
    """As suites write them; `required` where there is none."""
    fields = options.model_fields
    values = options.model_construct().model_dump()
    return {name: "required" if field.is_required() else getattr(values[name], "written", values[name]) for name, field in fields.items()}


@pytest.mark.parametrize(
    ("page", "least"), [("families.md", 8), ("estimators.md", 11), ("likelihoods.md", 5), ("evaluations.md", 14), ("derived.md", 7)]
)
def test_all_parts_of_a_kind_are_found(page, least):
    assert sum(it.page == page and it.part is not None for it in DOCUMENTED) >= least


@each
def test_it_has_a_section_with_a_formula_and_its_source(it):
    text = section(it.page, it.heading)
    assert r"\(" in text or r"\[" in text or "solvers.md#" in text
    assert re.search(r"Source:\s+`", text)


@each
def test_its_file_is_among_the_sources(it):
    file = Path(inspect.getfile(it.part or it.options)).relative_to(ROOT).as_posix()
    assert f"`{file}`" in section(it.page, it.heading)


@each
def test_its_options_and_defaults_are_those_of_the_code(it):
    table = {name: stated(value) for name, value in ROW.findall(section(it.page, it.heading))}
    found = defaults(it.options)
    assert table == {name: found[name] for name in table if name in found}
    if it.options is not Training:  # the page is about schedules
        assert table.keys() == found.keys()


@pytest.mark.parametrize("it", [it for it in DOCUMENTED if getattr(it.part, "metrics", None)], ids=str)
def test_its_metrics_are_named(it):
    text = section(it.page, it.heading)
    endings = {"sparsity": "_(prior|active)$", "gradient_quality": "_(decoder|prior)$"}.get(it.part.name, "$^")
    names = {re.sub(endings, "", name) for name in it.part.metrics}
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("it", [it for it in DOCUMENTED if it.page == "families.md" and it.part is not None and not it.part.has_posterior], ids=str)
def test_costs_of_sparse_coders_are_named(it):
    text = section("families.md", "Sparse coders")
    assert {name for name in it.part.measures if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    assert [path for path in re.findall(r"`([\w/.-]+\.py)`", PAGES[page]) if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_constants_are_those_of_the_files_that_are_named(page):
    files = [ROOT / path for path in re.findall(r"`((?:latentbench|plugins)/[\w/.-]+\.py)`", PAGES[page])]
    assignments = {ast.unparse(node) for path in files for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)}
    constants = re.findall(r"`((?:[A-Z_0-9]+(?:, )?)+ = [^`]+)`", PAGES[page])
    assert [text for text in constants if ast.unparse(ast.parse(text)) not in assignments] == []


@pytest.mark.parametrize("page", PAGES)
def test_headings_have_no_formula_which_tables_of_contents_would_not_show(page):
    assert [match[0] for match in HEADING.finditer(PAGES[page]) if r"\(" in match[0]] == []


def test_the_index_leads_to_every_page():
    assert {name for name in PAGES if name != "index.md" and f"]({name})" not in PAGES["index.md"]} == set()


@pytest.mark.parametrize("number", range(1, 26))
def test_every_equation_of_the_paper_is_in_the_index(number):
    text = section("index.md", "Equations of the paper")
    rows = re.findall(r"^\| ([\d, to]+) \|", text, re.MULTILINE)
    listed = {n for row in rows for part in row.split(", ") for n in span(part)}
    assert number in listed


def span(text):
    """The numbers of `5` or `17 to 19`."""
    first, _, last = text.partition(" to ")
    return range(int(first), int(last or first) + 1)
