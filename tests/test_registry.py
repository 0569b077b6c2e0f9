"""Plugins: broken, doubled, misspelt and misnamed ones."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from latentbench import hookimpl
from latentbench.data.dataset import DataSet
from latentbench.errors import MissingPluginError, UserError
from latentbench.evaluation.contract import Evaluation
from latentbench.loading import INTERFACE
from latentbench.measure import Measure
from latentbench.models.family import Family, PointFamily
from latentbench.models.network import Network
from latentbench.part import Options, Part
from latentbench.registry import KINDS, build_registry


def plugin(name="latentbench_x", **members):
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, hookimpl(value) if callable(value) and not isinstance(value, type) else value)
    return (name, module)


class Toy(PointFamily):
    name = "toy"

    def infer(self, images, dictionary):
        return images @ dictionary

    def loss(self, step):
        raise NotImplementedError

    def costs(self, images, code, z, decoded, likelihood):
        return {}


def toy(base=Toy, **members):
    """A part with other class variables."""
    return type("Other", (base,), members)


class Numbers(Evaluation):
    name = "numbers"

    def evaluate(self, trained, generator):
        raise NotImplementedError


class Images(DataSet):
    name = "images"
    data_shape = (1, 8, 8)

    def load(self, cache):
        raise NotImplementedError


def test_every_installed_plugin_loads(registry):
    assert registry.broken == {}
    assert set(registry.parts) == set(KINDS)
    assert {"poisson", "gaussian", "laplace", "categorical", "gaussian+relu", "gaussian+exp"} <= set(registry.parts["families"])
    assert all(isinstance(part.version, str) for parts in registry.parts.values() for part in parts.values() if issubclass(part, Part))


def test_a_name_clash_names_both_plugins_and_how_to_choose_and_leaves_the_rest_alone():
    one = plugin("one", register_families=lambda: [Toy, toy(name="own")])
    registry = build_registry([one, plugin("two", register_families=lambda: [toy()]), plugin("three", register_evaluations=lambda: [Numbers])])
    message = "plugins 'one' and 'two' register the family 'toy', so it is left out: uninstall one, or leave it out with LATENTBENCH_DISABLE=two"
    with pytest.raises(MissingPluginError, match=message):
        registry.family("toy")
    assert registry.problems() == [message]
    assert registry.broken == {}
    assert list(registry.parts["families"]) == ["own"]
    assert list(registry.parts["evaluations"]) == ["numbers"]


def not_a_hook():
    return []


def with_an_argument(registry):
    return []


def leaving():
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"register_famillies": lambda: []}, r"unknown hook 'register_famillies'.*the hooks are register_families"),
        ({"register_families": with_an_argument}, r"registry.*the hooks are register_families"),
        ({"register_families": leaving}, r"register_families failed: SystemExit: 3"),
        ({"register_datasets": lambda: Images}, r"register_datasets must return a list of classes, got .*Images"),
        ({"register_datasets": lambda: None}, r"register_datasets must return a list of classes, got None"),
        ({"register_datasets": lambda: [int]}, r"register_datasets: .*int.* is not a class derived from DataSet"),
        ({"register_datasets": lambda: [Toy]}, r"register_datasets: .*Toy.* is not a class derived from DataSet"),
        ({"register_families": lambda: [Toy, toy()]}, r"register_families returns two parts named 'toy'"),
        (
            {"latentbench_interface": INTERFACE + 1},
            rf"written for plugin interface {INTERFACE + 1}, and this latentbench has interface {INTERFACE}: install a newer latentbench",
        ),
        ({"latentbench_interface": "1"}, r"says latentbench_interface = '1'; that is the number of a plugin interface"),
        ({"latentbench_interface": True}, r"says latentbench_interface = True; that is the number of a plugin interface"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_plugin_that_breaks_a_rule_of_hooks_is_quarantined(members, reason):
    def register_engines():
        return []

    registry = build_registry([plugin("bad", **{"register_engines": register_engines, **members}), plugin("good", register_families=lambda: [Toy])])
    assert re.search(reason, registry.broken["bad"], re.DOTALL)
    assert list(registry.parts["families"]) == ["toy"]
    assert registry.providers == {Toy: "good"}


def test_a_plugin_for_this_interface_is_loaded():
    registry = build_registry([plugin("good", latentbench_interface=INTERFACE, register_families=lambda: [Toy])])
    assert registry.broken == {}
    assert list(registry.parts["families"]) == ["toy"]


def test_a_plugin_for_an_older_interface_is_told_so(monkeypatch):
    monkeypatch.setattr("latentbench.loading.INTERFACE", INTERFACE + 1)
    (reason,) = build_registry([plugin("old", latentbench_interface=INTERFACE, register_families=lambda: [Toy])]).broken.values()
    assert f"install an older latentbench, or a version of the plugin for interface {INTERFACE + 1}" in reason


def test_a_hook_without_its_mark_is_quarantined():
    name, module = plugin("bad")
    module.register_families = not_a_hook
    assert build_registry([(name, module)]).broken == {"bad": "register_families is not marked with @hookimpl, and would not be called"}


INCOMPLETE = type("Incomplete", (PointFamily,), {"name": "incomplete"})
NAMELESS = type("Nameless", (DataSet,), {"data_shape": (1, 8, 8), "load": Images.load})
NEITHER = type("Neither", (Network,), {"name": "neither"})
COSTLESS = type("Costless", (Family,), {"name": "costless", "encode": None, "costs": None, "has_posterior": False})


@pytest.mark.parametrize(
    ("kind", "part", "reason"),
    [
        ("families", INCOMPLETE, "Incomplete does not implement costs, infer, loss"),
        ("families", COSTLESS, "Costless must say what `cost` it minimises (a metric's name), and whether it `has_posterior`"),
        ("datasets", NAMELESS, "Nameless has no `name`"),
        ("networks", NEITHER, "Neither implements neither encoder nor decoder"),
        *(
            ("families", toy(name=name), f"Other has the name {name!r}; a name is a letter, then")
            for name in ["", "a b", "a,b", "a/b", "a\n", "1e3", 7, "é", "x" * 65]
        ),
        ("families", toy(version=1), "Other has the version 1; a version is a text, as in '1'"),
        ("families", toy(version=""), "Other has the version ''; a version is a text"),
        ("families", toy(options_model=dict), "Other has the options_model <class 'dict'>; it must be a class derived from latentbench.api.Options"),
        ("families", toy(options_model=Options()), "it must be a class derived from latentbench.api.Options"),
        ("families", toy(ignores="beta"), "Other has ignores = 'beta'; it must be a set of texts"),
        ("families", toy(ignores=frozenset({1})), "it must be a set of texts"),
        ("families", toy(defaults=["beta"]), "Other has defaults = ['beta']; they must be a mapping from dotted settings to values"),
        (
            "families",
            toy(search={"beta": (1, 2)}),
            "Other has search = {'beta': (1, 2)}; it must be a mapping from dotted settings to Range(low=, high=)",
        ),
        ("families", toy(protocols={"paper": 3}), "Other has protocols = {'paper': 3}; they must be a mapping from names to mappings"),
        (
            "evaluations",
            toy(Numbers, metrics={"one": Measure("Lower", "nats", "One.")}),
            "Other declares the metric 'one' with better = 'Lower'; it must be 'lower', 'higher' or None",
        ),
        ("evaluations", toy(Numbers, metrics="lower"), "Other has metrics = 'lower'; it must be a mapping"),
        ("evaluations", toy(Numbers, metrics={"one": Measure(None, "nats", "")}), "Other declares the metric 'one' without a unit or a meaning"),
        ("families", toy(measures={"nelbo": "lower"}), "Other has measures = {'nelbo': 'lower'}; it must be a mapping"),
        ("datasets", toy(Images, data_shape=[8, 8]), "Other has the data_shape [8, 8]; it must be a tuple of positive numbers"),
        ("datasets", toy(Images, data_shape=(1, 8, 0)), "it must be a tuple of positive numbers"),
        (
            "datasets",
            toy(Images, pixels="bits"),
            "Other has pixels = 'bits'; they are 'real', 'unit' (in [0, 1]), 'binary' (0 or 1) or 'count' (0, 1, 2, ...)",
        ),
        ("datasets", toy(Images, labelled="yes"), "Other has labelled = 'yes'; it is True or False"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_a_part_declares_is_checked_when_its_plugin_is_loaded(kind, part, reason):
    def register():
        return [part]

    register.__name__ = f"register_{kind}"
    registry = build_registry(
        [plugin("bad", **{f"register_{kind}": register}), plugin("good", register_families=lambda: [toy(name="gaussian+relu")])]
    )
    assert registry.broken["bad"].startswith(f"register_{kind}: ")
    assert reason in registry.broken["bad"]
    assert registry.parts[kind].keys() <= {"gaussian+relu"}


def test_a_hook_that_fails_breaks_its_plugin_alone():
    def register_families():
        raise ZeroDivisionError("oh")

    registry = build_registry([plugin("bad", register_families=register_families), plugin("good", register_families=lambda: [Toy])])
    assert registry.broken == {"bad": "register_families failed: ZeroDivisionError: oh"}
    assert list(registry.parts["families"]) == ["toy"]


def test_an_unknown_name_gets_the_nearest_and_broken_plugins_are_mentioned(registry):
    with pytest.raises(UserError, match=r"unknown family 'gausian' .did you mean 'gaussian'") as plain:
        registry.get("families", "gausian")
    assert not isinstance(plain.value, MissingPluginError)
    broken = build_registry([], {"latentbench_y": "ImportError: no y"})
    with pytest.raises(MissingPluginError, match=r"latentbench_y \(ImportError: no y\)"):
        broken.get("families", "y")


MISSPELT = """
from latentbench import hookimpl

@hookimpl
def register_famillies():
    return []
"""
RIVAL = """
from latentbench import hookimpl
from latentbench_gaussian import Gaussian

@hookimpl
def register_families():
    return [type("Rival", (Gaussian,), {"__module__": __name__})]
"""
SUITE = """
name: two
seeds: [1]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, estimator: mc, training: {steps: 5, batch_size: 20}}
sweeps:
  - {family: [gaussian, laplace], dataset: digits}
"""


@pytest.fixture
def site(tmp_path):
    """Call the command line where plugins of this source text are installed as well."""

    def install(distribution, module, text):
        info = tmp_path / "site" / f"{distribution.replace('-', '_')}-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[latentbench]\n{module} = {module}\n")
        (tmp_path / "site" / f"{module}.py").write_text(text)

    def call(*words, **environment):
        path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parent / "third_party")])
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        command = [sys.executable, "-m", "latentbench", *map(str, words)]
        answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert "Traceback" not in answer.stdout + answer.stderr
        return answer

    (tmp_path / "two.yaml").write_text(SUITE)
    call.install = install
    return call


@pytest.mark.slow
def test_a_quarantined_plugin_is_named_by_every_command_that_needs_it_and_stops_none(site):
    site.install("latentbench-typo", "latentbench_typo", MISSPELT)
    warning = "warning: plugin 'latentbench_typo' is left out: unknown hook 'register_famillies'"
    for words in (["run", "two.yaml"], ["plan", "two.yaml"], ["list", "families"]):
        answer = site(*words)
        assert answer.returncode == 0, answer
        assert answer.stderr.count(warning) == 1, words
        assert len(answer.stderr.splitlines()) == 1, words
    for words in (["compare"], ["status"]):  # these read what is stored, without the plugins that made it
        answer = site(*words)
        assert answer.returncode == 0, answer
        assert answer.stderr == "", words
    answer = site("plan", "two.yaml", "--set", "family=tpyo")
    assert "blocked:  tpyo" in answer.stdout  # the plugin may be the one that has it
    assert "latentbench_typo (unknown hook" in answer.stdout


@pytest.mark.slow
def test_a_name_clash_blocks_what_needs_the_name_and_can_be_chosen(site):
    site.install("latentbench-rival", "latentbench_rival", RIVAL)
    both = "plugins 'latentbench_gaussian' and 'latentbench_rival' register the family 'gaussian'"
    answer = site("run", "two.yaml")
    assert answer.returncode == 1  # of two runs one could not be run
    assert f"cannot run gaussian on digits: family: {both}" in answer.stdout
    assert f"warning: {both}" in answer.stderr
    assert "1 runs in" in answer.stdout
    assert site("compare").returncode == 0
    for name in ("latentbench_rival", "latentbench-rival"):  # the plugin, or its distribution
        answer = site("run", "two.yaml", LATENTBENCH_DISABLE=name)
        assert answer.returncode == 0
        assert answer.stderr == ""


def test_two_distributions_with_one_plugin_name_are_both_named(site):
    site.install("one", "latentbench_same", RIVAL)
    site.install("two", "latentbench_same", RIVAL)
    answer = site("list", "families")
    assert "plugin 'latentbench_same' is left out: distributions 'one' and 'two' register it: uninstall one" in answer.stderr
    assert "leave it out with LATENTBENCH_DISABLE=two" in answer.stderr
    assert "latentbench_same" not in site("list", "families", LATENTBENCH_DISABLE="one,latentbench_testkit, two").stdout


def test_a_name_to_be_disabled_must_be_installed(site):
    answer = site("list", "families", LATENTBENCH_DISABLE="latentbench_poison")
    assert answer.returncode == 2
    assert "error: LATENTBENCH_DISABLE: no plugin and no distribution with plugins is named 'latentbench_poison' (did you mean" in answer.stderr
    answer = site("plan", "two.yaml", "--set", "family=poisson", LATENTBENCH_DISABLE="latentbench_poisson")
    assert answer.returncode == 2
    assert "unknown family 'poisson'" in answer.stderr
    assert "Plugins that LATENTBENCH_DISABLE leaves out: latentbench_poisson" in answer.stderr
