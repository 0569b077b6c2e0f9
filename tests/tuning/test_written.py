"""Suites that tuning writes."""

import copy

import pytest

from latentbench.suites.plan import make_plan
from latentbench.suites.settings import digest
from latentbench.suites.suite import load_suite
from latentbench.suites.yaml_source import Source, yaml_text
from latentbench.tuning.written import paced_data, round_data, tuned_data, write_suite
from tests.tuning.conftest import SUITE

RATE, TEMPERATURE = "training.learning_rate", "training.temperature_stop"
TRIED = [{RATE: 0.003, TEMPERATURE: 0.3}, {}, {RATE: 0.005}, {}, {RATE: 0.007}]
"""Settings of poisson mc, poisson exact, gaussian mc, gaussian exact and lasso."""


@pytest.fixture
def data(suite_file):
    return Source.read(suite_file(SUITE), "suite", "sweeps").data


@pytest.fixture
def plan(suite_file, registry):
    return lambda data: make_plan(load_suite(suite_file(yaml_text(data), "written.yaml")), registry, "cpu")


def settings(plan):
    """By what the run is about, its learning rate and temperature."""
    return {item.run.about: (item.run.training["learning_rate"], item.run.training.get("temperature_stop")) for item in plan.runs}


def test_the_trials_of_a_round_are_those_of_each_model_alone(data, plan, models):
    made = plan(round_data(data, 2, [101], list(zip(models(), TRIED, strict=True))))
    assert settings(made) == {
        "poisson mc digits linear|linear seed 101": (0.003, 0.3),
        "poisson exact digits linear|linear seed 101": (0.002, None),
        "gaussian mc digits linear|linear seed 101": (0.005, None),
        "gaussian exact digits linear|linear seed 101": (0.002, None),
        "poisson mc photo_patches linear|linear seed 101": (0.003, 0.3),
        "lasso photo_patches linear seed 101": (0.007, None),
    }
    assert {str(evaluation) for item in made.runs for evaluation in item.evaluations} == {"elbo"}


def test_a_round_has_nothing_of_the_report(data, models):
    extra = {"keep_checkpoints": [0.5], "expect": "published/table5", "verify": {}, "description": "x", "engine": "local"}
    made = round_data({**data, **extra}, 2, [101, 102], list(zip(models(), TRIED, strict=True)))
    assert made.keys() == {"name", "seeds", "evaluations", "defaults", "sweeps", "engine"}
    assert (made["name"], made["seeds"]) == ("small, tuning 2", [101, 102])
    assert len(round_data({**data, "name": "n" * 100}, 2, [101], [])["name"]) == 100


def test_a_tuned_suite_is_the_suite_but_for_the_settings_that_were_found(data, plan, models):
    before = copy.deepcopy(data)
    found = tuned_data(data, list(zip(models(), TRIED, strict=True)))
    assert data == before
    assert {key: value for key, value in found.items() if key != "sweeps"} == {k: v for k, v in data.items() if k not in ("tune", "sweeps")}
    untuned, tuned = plan(data), plan(found)
    assert settings(tuned)["poisson mc digits linear|linear seed 2"] == (0.003, 0.3)
    before_ids = {item.run.id for item in untuned.runs}
    changed = {item.run.about for item in tuned.runs if item.run.id not in before_ids}
    of = (
        "poisson mc digits linear|linear",
        "gaussian mc digits linear|linear",
        "poisson mc photo_patches linear|linear",
        "lasso photo_patches linear",
    )
    assert changed == {f"{words} seed {seed}" for words in of for seed in (1, 2)}


def test_settings_that_were_found_win_over_the_overrides_of_the_suite(data, plan, models):
    data["sweeps"][0]["overrides"] = [{"match": {"family": "gaussian"}, "set": {"training": {"learning_rate": 0.1, "batch_size": 20}}}]
    made = plan(tuned_data(data, list(zip(models(), TRIED, strict=True))))
    of_gaussian = {
        (item.run.estimator, item.run.training["learning_rate"], item.run.training["batch_size"])
        for item in made.runs
        if item.run.family == "gaussian"
    }
    assert of_gaussian == {("mc", 0.005, 20), ("exact", 0.1, 20)}


def test_a_suite_without_anything_found_has_the_same_runs(data, plan, models):
    same = plan(tuned_data(data, [(model, {}) for model in models()]))
    assert digest({"runs": [item.run.id for item in same.runs]}) == digest({"runs": [item.run.id for item in plan(data).runs]})


def test_a_written_suite_begins_with_the_command_and_what_is_said_of_it(data, tmp_path):
    written = tmp_path / "written.yaml"
    write_suite(written, tuned_data(data, []), ["one", "two"], ("latentbench", "tune", "a b.yaml"))
    assert written.read_text().startswith("# Made by: latentbench tune 'a b.yaml'\n# one\n# two\nname: small\n")
    assert load_suite(written).name == "small"
    write_suite(written, tuned_data(data, []), [], ())
    assert written.read_text().startswith("# Made by: latentbench from Python\nname: small\n")


def test_lengths_are_set_for_the_sweeps_that_have_them(data, plan, models):
    lasso = next(model for model in models() if model.settings["family"] == "lasso")
    made = paced_data(data, 2.5, [(lasso, {1: {"training.steps": 7}}.__getitem__)])
    assert made["name"] == "small, 2.5 s"
    assert made["tune"] == data["tune"]
    assert {item.run.training["steps"] for item in plan(made).runs if item.run.family == "lasso"} == {7}
    assert {item.run.training["steps"] for item in plan(made).runs if item.run.family != "lasso"} == {3}
