"""The doors: plugins, ours and those of the tests, import nothing else of latentbench, and sources of what they pass on are found behind them."""

import ast
from pathlib import Path

import pytest

from latentbench import api, imported
from latentbench.api import engines
from latentbench.registry import load_registry
from latentbench.results.provenance import MODEL, training_sources
from latentbench.suites.resolve import resolve

ROOT = Path(__file__).parents[1]
ALLOWED = {"latentbench", "latentbench.reporting", "latentbench.reporting.drawing", *imported.DOORS}
PLUGINS = sorted([*(ROOT / "plugins").rglob("*.py"), *(ROOT / "tests" / "third_party").glob("latentbench_*.py")])


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_plugins_import_only_through_the_doors(path):
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names} | {
        node.module for node in imports if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {name for name in modules if name.partition(".")[0] == "latentbench"} <= ALLOWED
    names = {alias.name for node in imports if isinstance(node, ast.ImportFrom) and node.module == "latentbench" for alias in node.names}
    assert names <= {"hookimpl"}


@pytest.mark.parametrize("door", [api, engines], ids=lambda door: door.__name__)
def test_a_door_passes_on_what_it_lists(door):
    tree = ast.parse(Path(door.__file__).read_text())
    passed_on = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert passed_on == set(door.__all__)


def test_the_core_does_not_use_the_doors():
    inside = [path for path in (ROOT / "latentbench").rglob("*.py") if path.parent.name != "api"]
    users = [path for path in inside if any(name in imported.DOORS for name in imported.imports(_module(path)))]
    assert users == []


def _module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_sources_lie_behind_the_door():
    settings = {
        "family": "gaussian",
        "estimator": "mc",
        "dataset": "digits",
        "encoder": "linear",
        "decoder": "linear",
        "seed": 1,
        "training.steps": 1,
    }
    files = training_sources(resolve(settings, load_registry(), "cpu").assembly)
    assert {"latentbench/models/location_scale.py", "latentbench/models/estimator.py", "latentbench/data/dataset.py"} <= files.keys()
    assert not {name for name in files if name.startswith("latentbench/api")}


def test_every_building_block_counts_as_a_source_of_numbers():
    blocks = {_module(path) for path in (ROOT / "latentbench" / "blocks").glob("*.py")} - {"latentbench.blocks"}
    assert blocks
    assert blocks <= set(MODEL)


def test_the_door_of_reporting_has_what_plugins_take_from_it():
    """Its names are looked up when they are used, so that type checkers cannot tell a missing one."""
    from latentbench import reporting

    nodes = [node for path in PLUGINS for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    taken = {alias.name for node in nodes if node.module == "latentbench.reporting" for alias in node.names}
    assert taken
    assert taken <= set(reporting.__all__)
    assert all(getattr(reporting, name) for name in reporting.__all__)
