"""Parts that say which settings mean nothing, by what they are combined with and by their own options."""

import types

import pytest

from latentbench import hookimpl
from latentbench.models.family import PointFamily
from latentbench.part import Options
from latentbench.registry import build_registry, load_registry
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

SWEEP = """\
name: ignored
seeds: [1]
evaluations: [elbo]
defaults: {{dataset: digits, decoder: linear, latent_dim: 4, training: {{steps: 2}}}}
sweeps:
  - {sweep}
"""


class SwitchedOptions(Options):
    refined: bool = False
    steps: int = 3


class Switched(PointFamily):
    name = "switched"
    options_model = SwitchedOptions

    @classmethod
    def ignored(cls, assembly, options):
        return cls.ignores | (frozenset() if options.refined else {"family_options.steps"})

    def infer(self, images, dictionary):
        raise NotImplementedError

    def loss(self, step):
        raise NotImplementedError

    def costs(self, images, code, z, decoded, likelihood):
        raise NotImplementedError


@pytest.fixture
def planned(suite_file):
    module = types.ModuleType("latentbench_x")
    module.register_families = hookimpl(lambda: [Switched])
    registry = build_registry([*load_registry().modules.items(), ("latentbench_x", module)])

    def plan(sweep):
        return [item.run for item in make_plan(load_suite(suite_file(SWEEP.format(sweep=sweep))), registry, "cpu").runs]

    return plan


@pytest.mark.parametrize(
    ("sweep", "runs"),
    [
        ("{family: switched, family_options: {refined: [false, true], steps: [3, 4]}}", 3),
        ("{family: ista, family_options: {accelerated: false, restart: [true, false]}}", 1),
        ("{family: ista, family_options: {restart: [true, false]}}", 1),
        ("{family: ista, family_options: {accelerated: true, restart: [true, false]}}", 2),
        ("{family: ista, family_options: {accelerated: [true, false], restart: [true, false]}}", 3),
        ("{family: [gaussian, categorical], estimator: exact, encoder: linear, estimator_options: {covariance: [full, diagonal]}}", 3),
    ],
)
def test_what_means_one_thing_is_one_run(planned, sweep, runs):
    assert len(planned(sweep)) == runs


def test_an_option_that_is_ignored_is_no_part_of_the_run(planned):
    first, second, third = planned("{family: switched, family_options: {refined: [false, true], steps: [3, 4]}}")
    assert dict(first.family_options) == {"refined": False}
    assert [dict(run.family_options) for run in (second, third)] == [{"refined": True, "steps": 3}, {"refined": True, "steps": 4}]


def test_restart_is_at_its_default_without_acceleration(planned):
    """So that runs which were stored with the default keep their ids."""
    for run in planned("{family: ista, family_options: {restart: false}}"):
        assert run.family_options["restart"] is True


@pytest.mark.parametrize(
    "ignored",
    [classmethod(lambda cls, assembly: cls.ignores), lambda cls, assembly, options: cls.ignores, classmethod(lambda cls, a, b, c: cls.ignores)],
    ids=["without options", "no classmethod", "too many"],
)
def test_an_ignored_that_cannot_be_called_is_refused_where_it_is_written(ignored):
    with pytest.raises(TypeError, match=r"Wrong.ignored is a classmethod that is called with \(assembly, options\), and it takes \("):
        type("Wrong", (PointFamily,), {"name": "wrong", "ignored": ignored})


def test_a_plugin_with_the_ignored_of_before_is_named(cli, tmp_path, monkeypatch):
    """Its class cannot be made, so the plugin is left out by every command, with the reason; the others work."""
    (tmp_path / "latentbench_old.py").write_text(
        "from latentbench.models.family import PointFamily\n"
        "class Old(PointFamily):\n"
        "    name = 'old'\n"
        "    @classmethod\n"
        "    def ignored(cls, assembly):\n"
        "        return cls.ignores\n"
    )
    metadata = tmp_path / "latentbench_old-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: latentbench-old\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[latentbench]\nlatentbench_old = latentbench_old\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_registry.cache_clear()
    try:
        broken = load_registry().broken
        answer = cli("list", "families")
    finally:
        load_registry.cache_clear()
    assert "Old.ignored is a classmethod that is called with (assembly, options), and it takes (assembly)" in broken["latentbench_old"]
    assert answer.code == 0
    assert "gaussian" in answer.out
    assert "latentbench_old" in answer.out + answer.err
