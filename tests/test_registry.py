"""Plugins: broken, doubled, misspelt and misnamed ones."""

import types

import pytest

from latentbench import hookimpl
from latentbench.dataset import DataSet
from latentbench.errors import MissingPluginError, UserError
from latentbench.family import IterativeFamily
from latentbench.registry import KINDS, build_registry


def plugin(name="latentbench_x", **members):
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, hookimpl(value) if callable(value) and not isinstance(value, type) else value)
    return (name, module)


class Toy(IterativeFamily):
    name = "toy"


def test_every_installed_plugin_loads(registry):
    assert registry.broken == {}
    assert set(registry.parts) == set(KINDS)
    assert {"poisson", "gaussian", "laplace", "categorical", "gaussian+relu", "gaussian+exp"} <= set(registry.parts["families"])
    assert all(isinstance(part.version, str) for parts in registry.parts.values() for part in parts.values())


def test_two_plugins_with_one_name_are_both_named():
    def register_families():
        return [Toy]

    with pytest.raises(UserError, match=r"two plugins register the family 'toy': 'one' and 'two'"):
        build_registry([plugin("one", register_families=register_families), plugin("two", register_families=lambda: [Toy])])


def test_a_misspelt_hook_is_an_error_that_names_plugin_and_hook():
    with pytest.raises(UserError, match=r"plugin 'latentbench_x': unknown hook 'register_famillies'.*the hooks are register_families"):
        build_registry([plugin(register_famillies=lambda: [])])


def test_a_hook_with_an_argument_too_many_is_an_error():
    def register_families(registry):
        return []

    with pytest.raises(UserError, match=r"plugin 'latentbench_x'.*registry"):
        build_registry([plugin(register_families=register_families)])


@pytest.mark.parametrize(
    ("answer", "message"), [(Toy, "must return a list"), ([int], "derived from DataSet"), ([type("Nameless", (DataSet,), {})], "has no `name`")]
)
def test_a_wrong_answer_is_an_error(answer, message):
    with pytest.raises(UserError, match=message):
        build_registry([plugin(register_datasets=lambda: answer)])


def test_a_hook_that_fails_breaks_its_plugin_alone():
    def register_families():
        raise ZeroDivisionError("oh")

    registry = build_registry([plugin("bad", register_families=register_families), plugin("good", register_families=lambda: [Toy])])
    assert registry.broken == {"bad": "register_families failed: ZeroDivisionError: oh"}
    assert list(registry.parts["families"]) == ["toy"]


def test_a_plugin_for_another_interface_is_broken():
    registry = build_registry([plugin("future", latentbench_interface=99, register_families=lambda: [Toy])])
    assert "interface 99" in registry.broken["future"]


def test_an_unknown_name_gets_the_nearest_and_broken_plugins_are_mentioned(registry):
    with pytest.raises(UserError, match=r"unknown family 'gausian' .did you mean 'gaussian'") as plain:
        registry.get("families", "gausian")
    assert not isinstance(plain.value, MissingPluginError)
    broken = build_registry([], {"latentbench_y": "ImportError: no y"})
    with pytest.raises(MissingPluginError, match=r"latentbench_y \(ImportError: no y\)"):
        broken.get("families", "y")
