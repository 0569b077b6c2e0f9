"""Which engine a suite's runs get: flags over a profile over the suite, and mistakes named where they stand."""

import pytest

from latentbench.errors import UserError
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.profile import EngineSpec
from latentbench.suites.suite import load_suite

SUITE = """\
name: s
engine: ENGINE
sweeps:
  - {family: gaussian, estimator: mc, dataset: digits, encoder: linear, decoder: linear, training: {steps: 2}}
"""


@pytest.fixture
def choose(registry, suite_file):
    def chosen(section="local", **launch):
        return choose_engine(Launch(**launch), load_suite(suite_file(SUITE.replace("ENGINE", section))).engine, registry)

    return chosen


def test_the_local_engine_is_the_default(registry):
    assert choose_engine(Launch(), None, registry).name == "local"


def test_a_suite_names_one(choose):
    assert choose("slurm").name == "slurm"
    engine = choose("{name: slurm, partition: gpu, gpus: 4, time: 12h, array: 16}")
    assert (engine.options.partition, engine.options.gpus, engine.device) == ("gpu", 4, "cuda")


def test_a_profile_counts_more_and_flags_most(choose, tmp_path, monkeypatch):
    profile = tmp_path / "p.yaml"
    profile.write_text("engine: {name: local, cpus: 3}\n")
    assert choose("slurm", profile=str(profile)).options.cpus == 3
    assert choose("slurm", profile=str(profile), flags={"cpus": 5}).options.cpus == 5
    assert choose("slurm", profile=str(profile), engine="slurm").options.cpus is None
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "latentbench" / "profiles").mkdir(parents=True)
    profile.rename(tmp_path / "config" / "latentbench" / "profiles" / "desk.yaml")
    assert choose("slurm", profile="desk").options.cpus == 3


def test_gpus_make_the_device_of_a_run(choose):
    assert choose().device == "cpu"
    assert choose(flags={"gpus": "0-3"}).device == "cuda"
    assert choose("{name: local, gpus: 0-3}", flags={"gpus": "none", "cpus": 2}).device == "cpu"
    assert choose("slurm", flags={"gpus": "4"}).device == "cuda"


@pytest.mark.parametrize(
    ("section", "launch", "message"),
    [
        ("slrum", {}, r"suite.yaml:2: unknown engine 'slrum' \(did you mean 'slurm'\?\); known: .*local"),
        ("local", {"engine": "ray"}, "--engine: unknown engine 'ray'"),
        ("{name: slurm, partion: gpu}", {}, r"suite.yaml:2: engine 'slurm': unknown key 'partion' \(did you mean 'partition'\?\)"),
        (
            "{name: slurm, time: tomorrow}",
            {},
            "suite.yaml:2: engine 'slurm': time: expected a duration above 0, like 90s, 30m or 12h, got 'tomorrow'",
        ),
        ("{name: slurm, array: 0}", {}, "suite.yaml:2: engine 'slurm': array: input should be greater than or equal to 1, got 0"),
        ("{name: slurm, time: 2m}", {}, "suite.yaml:2: engine 'slurm': time 2m must be more than a minute longer than signal_before 120s"),
        ("{partition: gpu}", {}, "suite.yaml:2: .*name"),
        ("local", {"flags": {"cpus": 0}}, "--cpus 0: input should be greater than or equal to 1$"),
        ("local", {"flags": {"per_gpu": "few"}}, "--per-gpu few: expected a number of at least 1, or auto$"),
        ("local", {"flags": {"per_gpu": "0"}}, "--per-gpu 0: expected a number of at least 1, or auto$"),
        ("local", {"flags": {"gpus": "x"}}, "--gpus x: expected numbers like 0-7 or 0,2$"),
        ("local", {"flags": {"gpus": "0", "cpus": 2}}, "gpus and cpus: choose one of them"),
        ("test_inline", {"flags": {"cpus": 2}}, "--cpus: the engine 'test_inline' has no such option; it has: none"),
        ("local", {"profile": "nowhere"}, "profile file .*nowhere.yaml does not exist"),
    ],
)
def test_mistakes_are_named(choose, section, launch, message):
    with pytest.raises(UserError, match=message):
        choose(section, **launch)


def test_a_profile_holds_an_engine_and_nothing_else(choose, tmp_path):
    profile = tmp_path / "p.yaml"
    profile.write_text("engine: local\nseeds: [1]\n")
    with pytest.raises(UserError, match=r"p.yaml:2: unknown key 'seeds'; known: engine"):
        choose(profile=str(profile))
    profile.write_text("- local\n")
    with pytest.raises(UserError, match=r"p.yaml: a profile is a mapping with `engine`, got list"):
        choose(profile=str(profile))


def test_of_two_defaults_one_must_be_named(registry, monkeypatch):
    monkeypatch.setattr(registry.engine("test_inline"), "default", True)
    with pytest.raises(UserError, match="2 engines say that they are the default: local, test_inline; name one with --engine"):
        choose_engine(Launch(), None, registry)
    assert choose_engine(Launch(), EngineSpec("local", {}, "here"), registry).name == "local"
