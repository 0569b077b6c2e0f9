"""Plugin files in this process: modules, versions, and the registry of a run."""

import sys

import pytest

from latentbench.errors import UserError
from latentbench.imported import execute_source, hashes, meaning
from latentbench.models.numerics import VERSION
from latentbench.plugin_files import keep, with_files, with_stored

TWO = """\
from __future__ import annotations

from dataclasses import dataclass

from latentbench import hookimpl
from latentbench.api import Estimator, Evaluation, Options, added


@dataclass
class Pair:
    first: Options  # dataclasses look the text of an annotation up in the class's module


class TwoOptions(Options):
    size: int = VALUE


class One(Evaluation):
    name = "filed_one"
    version = "3"
    options_model = TwoOptions

    def evaluate(self, trained, generator):
        raise NotImplementedError


class Two(One):
    name = "filed_two"


@hookimpl
def register_evaluations():
    return [Two, One]
"""


@pytest.fixture
def write(tmp_path):
    def written(value="1", name="two.py"):
        path = tmp_path / name
        path.write_text(TWO.replace("VALUE", value))
        return path

    return written


def digest(value):
    return meaning(TWO.replace("VALUE", value).encode())[:12]


def evaluation(registry, name="filed_one"):
    return registry.evaluation(name)


def test_versions_name_the_file_once_in_classes_that_inherit_them_too(registry, write):
    extended = with_files(registry, [write()])
    assert {evaluation(extended, name).version for name in ("filed_one", "filed_two")} == {f"3+{digest('1')}"}


def test_the_given_registry_is_as_it_was(registry, write):
    with_files(registry, [write()])
    assert not {"filed_one", "filed_two"} & registry.parts["evaluations"].keys()


def test_a_file_is_executed_once_in_a_process(registry, write):
    assert evaluation(with_files(registry, [write()])) is evaluation(with_files(registry, [write()]))


def test_two_versions_of_a_file_are_two_modules(registry, write):
    one, other = (evaluation(with_files(registry, [write(value)])) for value in ("1", "2"))
    assert (one.options_model().size, other.options_model().size) == (1, 2)
    assert one.__module__ != other.__module__


def test_the_hashes_of_a_part_cover_the_file_and_the_plugins_that_it_imports(registry, tmp_path):
    path = tmp_path / "derived.py"
    path.write_text(
        "from latentbench import hookimpl\nfrom latentbench_gaussian import Gaussian\n\n"
        "class Mine(Gaussian):\n    name = 'filed_mine'\n\n@hookimpl\ndef register_families():\n    return [Mine]\n"
    )
    found = hashes([with_files(registry, [path]).family("filed_mine").__module__])
    assert found[f"derived-{meaning(path.read_bytes())[:12]}.py"] == meaning(path.read_bytes())
    assert "latentbench_gaussian/__init__.py" in found


def test_a_run_gets_its_own_version_in_place_of_the_given_one(registry, write, tmp_path):
    old = with_files(registry, [write("1")])
    keep(old, tmp_path / "r")
    given = with_files(registry, [write("2")])
    needed = {"evaluation:filed_one": f"3+{digest('1')}"}
    found = with_stored(given, tmp_path / "r", needed)
    assert evaluation(found) is evaluation(old)
    assert evaluation(found, "filed_two") is evaluation(given, "filed_two")  # which the run does not need


def test_what_is_installed_needs_no_copy(registry, tmp_path):
    versions = {"family:gaussian": registry.family("gaussian").version, "numerics:cuda": VERSION, "family:unknown": "1.0"}
    assert with_stored(registry, tmp_path, versions) is registry


def test_two_versions_of_one_part_at_once_are_refused(registry, tmp_path):
    with pytest.raises(UserError, match=r"the evaluation 'filed_one' is needed in the versions 1\+a and 1\+b at once"):
        with_stored(registry, tmp_path, {"evaluation:filed_one": "1+a"}, {"evaluation:filed_one": "1+b"})


def test_a_copy_that_is_not_python_any_more_is_refused(registry, write, tmp_path):
    keep(with_files(registry, [write()]), tmp_path / "r")
    copy = tmp_path / "r" / "plugins" / f"two-{digest('1')}.py"
    copy.write_text("class :")
    with pytest.raises(UserError, match=r"line 1: .*; it was changed"):
        with_stored(registry, tmp_path / "r", {"evaluation:filed_one": f"3+{digest('1')}"})


def test_a_file_that_fails_leaves_no_module(tmp_path):
    with pytest.raises(ZeroDivisionError):
        execute_source("filed_failing", tmp_path / "x.py", b"1 / 0")
    assert "filed_failing" not in sys.modules
