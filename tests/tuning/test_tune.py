"""Rounds of trials with planted values, and what tuning refuses."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from latentbench.errors import UserError
from latentbench.search import Range
from latentbench.suites.expand import Changes
from latentbench.suites.launch import Launch
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite
from latentbench.suites.tune_checks import check_splits
from latentbench.tuning import tune
from latentbench.tuning.checks import remarks
from latentbench.tuning.rounds import Round
from latentbench.tuning.tune import folder_name, search
from tests.tuning.conftest import SUITE

INLINE = Launch("test_inline")


class Planted:
    """Rounds whose values are known: the distance of `beta` from 3, of the suite's own settings 1.5; and trials that fail."""

    models = [
        SimpleNamespace(
            settings={"family": name}, space={"beta": Range(low=0.0, high=10.0)} if searched else {}, untuned={}, possible=lambda tried: True
        )
        for name, searched in (("a", True), ("b", True), ("c", False))
    ]

    def __init__(self, fails=lambda number, place: False, left_in=None, stop_in=None):
        self.fails, self.left_in, self.stop_in = fails, left_in, stop_in
        self.seen = []

    def tell(self, text):
        pass

    def run(self, number, settings):
        if number == self.stop_in:
            raise KeyboardInterrupt
        self.seen.append(settings)
        values = [None if self.fails(number, place) else abs(one.get("beta", 1.5) - 3) for place, one in enumerate(settings)]
        return Round(values, int(number == self.left_in))


def test_the_first_trial_is_the_suites_own_settings():
    rounds = Planted()
    search(rounds, 3, "lower")
    assert rounds.seen[0] == [{}, {}, {}]
    assert all(set(settings) == {"beta"} for done in rounds.seen[1:] for settings in done[:2])


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_the_best_of_planted_values_is_found(direction):
    rounds = Planted()
    found = search(rounds, 12, direction).models
    for place in (0, 1):
        distances = [abs(done[place].get("beta", 1.5) - 3) for done in rounds.seen]
        assert found[place].best.value == (min if direction == "lower" else max)(distances)
        assert len(found[place].trials) == 12


def test_a_model_with_nothing_to_search_has_one_trial():
    rounds = Planted()
    (trial,) = search(rounds, 4, "lower").models[2].trials
    assert (trial.settings, trial.value) == ({}, 1.5)
    assert [done[2] for done in rounds.seen] == [{}] * 4


def test_failures_of_one_model_leave_the_others_alone():
    found = search(Planted(lambda number, place: place == 0 and number in (1, 3)), 4, "lower").models
    assert [trial.value is None for trial in found[0].trials] == [True, False, True, False]
    assert (found[0].failed, found[1].failed) == (2, 0)


def test_a_trial_of_values_that_do_not_go_together_fails_and_is_not_run(monkeypatch):
    rounds = Planted()
    monkeypatch.setattr(rounds.models[0], "possible", lambda tried: tried.get("beta", 0) < 5)
    trials = search(rounds, 12, "higher").models[0].trials
    failed = [trial for trial in trials if trial.value is None]
    assert failed
    assert all(trial.settings["beta"] >= 5 for trial in failed)
    assert all(done[0].get("beta", 0) < 5 for done in rounds.seen)


def test_a_model_whose_every_trial_failed_is_told():
    tuned = search(Planted(lambda number, place: place == 1), 3, "lower")
    assert [one.model.settings["family"] for one in tuned.failed] == ["b"]


def test_rounds_that_are_left_to_others_end_it():
    rounds = Planted(left_in=2)
    tuned = search(rounds, 5, "lower")
    assert (tuned.left, len(rounds.seen), len(tuned.models[0].trials)) == (1, 2, 1)


def test_interrupted_and_called_again_it_tries_the_same():
    calm, stopped, again = Planted(), Planted(stop_in=9), Planted()
    search(calm, 14, "lower")
    with pytest.raises(KeyboardInterrupt):
        search(stopped, 14, "lower")
    search(again, 14, "lower")
    assert stopped.seen == calm.seen[:8]
    assert again.seen == calm.seen


def test_names_of_suites_are_names_of_folders():
    assert [folder_name(name) for name in ("priors", "table 5/6", "..", "a\u00e9b")] == ["priors", "table-5-6", "-", "a-b"]


REFUSED = {
    "no section": ([(SUITE[SUITE.index("tune:") :], "")], {}, "suite.yaml: the suite has no section `tune`"),
    "seeds of the suite": ([], {"seeds": (2, 9)}, "--seeds 2,9: tuning seeds must not be seeds of the suite, and 2 is"),
    "another model": ([], {"sets": {"family": "laplace"}}, "--set family=laplace: 'family' tells the models of the suite apart"),
    "unread setting": ([], {"sets": {"training.step": 3}}, "unknown setting 'training.step'"),
    "metric that a model has not": (
        [],
        {},
        "suite.yaml:9: 'nelbo' is not measured of family=lasso: it is no cost of 'lasso'; leave it out with --only",
    ),
    "test split that an evaluation measures unasked": (
        [("dataset: digits", "dataset: [digits, sparse_synthetic]")],
        {},
        "suite.yaml:10: elbo names no split, and so measures the test split of 'sparse_synthetic', which is for the report alone; "
        "write {elbo: {split: validation}}",
    ),
    "setting that no run reads": (
        [("[poisson, gaussian]", "gaussian"), ("[poisson, lasso]", "gaussian"), ("training.learning_rate", "training.temperature_stop")],
        {},
        "suite.yaml:14: 'training.temperature_stop' cannot be searched: no run of the suite reads it",
    ),
    "nothing to search": (
        [("  space:\n    training.learning_rate: {low: 0.001, high: 0.01, log: true}\n", "")],
        {"only": {"family": ["gaussian"]}},
        "suite.yaml:9: no model of suite 'small' reads a setting of `space` or declares one itself: nothing to search",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_tuned_is_refused_before_anything_runs(name, suite_file, tmp_path):
    replaced, changes, message = REFUSED[name]
    text = SUITE
    for old, new in replaced:
        text = text.replace(old, new)
    with pytest.raises(UserError) as error:
        tune(suite_file(text), tmp_path / "tuned.yaml", tmp_path / "r", INLINE, Changes(**changes))
    assert message in str(error.value)
    assert not (tmp_path / "r").exists()


def test_a_model_that_a_missing_plugin_leaves_out_is_not_passed_over(suite_file, registry, tmp_path, monkeypatch):
    """It would keep its settings, and be compared with models that were tuned."""
    broken = replace(registry, broken={"latentbench_x": "ImportError"})
    monkeypatch.setattr(sys.modules["latentbench.tuning.tune"], "load_registry", lambda: broken)
    with pytest.raises(UserError, match=r"x on digits would keep its settings: .*latentbench_x .*leave these runs out with --only"):
        tune(suite_file(SUITE.replace("[poisson, gaussian]", "[gaussian, x]")), tmp_path / "tuned.yaml", tmp_path / "r", INLINE)


@pytest.mark.parametrize(
    ("out", "message"), [("suite.yaml", "that is the suite itself"), (".", "is a folder"), ("no/t.yaml", "there is no such folder")]
)
def test_a_wrong_place_for_the_tuned_suite_is_refused(out, message, suite_file, tmp_path):
    with pytest.raises(UserError, match=message):
        tune(suite_file(SUITE), tmp_path / out, tmp_path / "r", INLINE)


def test_a_file_that_the_command_did_not_make_is_kept(suite_file, tmp_path):
    notes = tmp_path / "tuned.yaml"
    notes.write_text("name: mine\n")
    with pytest.raises(UserError, match=r"--out .*tuned.yaml: is there already, and was not made by `latentbench tune`"):
        tune(suite_file(SUITE), notes, tmp_path / "r", INLINE)
    assert notes.read_text() == "name: mine\n"


def test_models_that_are_tuned_for_several_data_sets_at_once_are_told_of(suite_file, registry, models):
    suite = load_suite(suite_file(SUITE))
    assert list(remarks(models(), make_plan(suite, registry, "cpu"), suite.tune)) == [
        "note: family=poisson estimator=mc is tuned for the mean over digits, photo_patches; add dataset to `models` to tune it for each"
    ]


def test_a_tuned_suite_that_could_not_be_written_is_refused_before_anything_runs(disk, suite_file, tmp_path):
    full = disk(64)
    full.remount("ro")
    with pytest.raises(UserError, match="its folder is not writable: Read-only file system"):
        tune(suite_file(SUITE), full.folder / "tuned.yaml", tmp_path / "r", INLINE)
    assert not (tmp_path / "r").exists()


def test_the_shipped_suites_are_tuned_without_the_test_split(root, registry):
    """And what else is refused before anything runs is not theirs."""
    tuned = [suite for path in sorted((root / "suites").glob("*.yaml")) if (suite := load_suite(path)).tune is not None]
    assert tuned
    for suite in tuned:
        plan = make_plan(suite, registry, "cpu")
        check_splits(suite.tune, registry, [item.assembly for item in plan.runs])
