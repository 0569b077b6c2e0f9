"""The pages of the reference, which hooks of MkDocs generate from the code."""

import importlib
import inspect
import re
import sys

import pytest

import latentbench.api
import latentbench.api.engines
import latentbench.reporting
from latentbench.api import AmortisedFamily, Evaluation
from latentbench.results.tables import TABLES
from latentbench.suites.settings import Training
from latentbench.suites.suite import SuiteFile


@pytest.fixture(scope="module")
def hook(root):
    """A module of docs/hooks."""
    sys.path.insert(0, str(root / "docs" / "hooks"))
    yield importlib.import_module
    sys.path.remove(str(root / "docs" / "hooks"))


@pytest.fixture(scope="module")
def families(hook):
    return hook("contracts").page(*hook("contracts").names()["families"])


@pytest.mark.parametrize("door", [latentbench.api, latentbench.api.engines, latentbench.reporting])
def test_every_name_of_a_door_is_on_one_page(hook, door):
    listed = [name for _, of, names in hook("contracts").names().values() if of == door.__name__ for name in names]
    assert sorted(listed) == sorted(door.__all__)


def test_a_contract_has_no_member_of_torch(families):
    assert "register_forward_hook" in dir(AmortisedFamily)
    assert not [name for name in ("register_forward_hook", "load_state_dict", "named_parameters") if name in families]
    assert "posterior(features: Tensor) -> Posterior" in families


def test_what_must_be_written_is_said(families):
    section = families.partition("## AmortisedFamily\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"#### `(\w+)` \(must be written\)", section)) == set(AmortisedFamily.__abstractmethods__)


def test_texts_below_attributes_describe_them(hook):
    assert hook("docstrings").attribute_docs(Evaluation)["reports_costs"].startswith("Whether")


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("A sentence.\n\nAnother.", "A sentence.\n\nAnother."),
        ("It.\n\nArgs:\n    x, y: two\n        numbers.", "It.\n\n**Arguments**\n\n- `x`, `y`: two numbers."),
        ("`<lin>` and <lin> at $5", r"`<lin>` and &lt;lin> at \$5"),
    ],
)
def test_docstrings_become_markdown(hook, text, markdown):
    assert hook("docstrings").markdown(text) == markdown


def test_every_command_has_its_flags(hook):
    page = hook("commands").page()
    assert "`--only KEY=VALUE`" in page.partition("## latentbench compare\n")[2].partition("\n## ")[0]
    assert "## latentbench data fetch\n" in page


def test_every_table_and_hook_is_there(hook):
    assert re.findall(r"^## (\w+)$", hook("results_tables").page(), re.MULTILINE) == list(TABLES)
    hooks = [name for group in hook("hook_specs").GROUPS.values() for name, value in vars(group).items() if inspect.isfunction(value)]
    assert re.findall(r"^### (\w+)$", hook("hook_specs").page(), re.MULTILINE) == hooks


def test_every_metric_is_there(hook, registry):
    ours = {name for name in registry.declarations() if not name.startswith("testkit")}
    assert ours <= set(re.findall(r"^\| `(\w+)`", hook("metrics").page(), re.MULTILINE))


def test_every_field_of_a_suite_is_there_with_its_type(hook):
    page = hook("suite_files").page()
    assert [name for name in (*SuiteFile.model_fields, *Training.model_fields) if f"\n| `{name}` |" not in page] == []
    assert "| `batch_size` | whole number above 0 | `200` |" in page
    assert "| `name` | text | *needed* |" in page
    assert "| `warmup` | number at least 0 and at most 1 or `N epochs` or `N steps` | `0.01` |" in page


def test_every_part_is_there_with_its_options(hook, registry):
    page = hook("parts").page()
    ours = {part.name for part, plugin in registry.providers.items() if plugin != "latentbench_testkit"}
    assert ours <= set(re.findall(r"^### (.*)$", page, re.MULTILINE))
    assert "| `truncate` | true or false | `true` |" in page


@pytest.mark.parametrize(
    ("html", "loaded"),
    [
        ('<script src="https://cdn.x/a.js">', ["https://cdn.x/a.js"]),
        ("<link rel=stylesheet href=//fonts.x/a>", ["//fonts.x/a"]),
        ('<a href="https://x.org">x</a> <link rel="canonical" href="https://x.org"> <script src="a.js">', []),
    ],
)
def test_what_a_page_would_load_from_elsewhere_is_found(hook, html, loaded):
    assert hook("offline").foreign(html) == loaded
