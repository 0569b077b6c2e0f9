"""The values of trials, out of a results folder, and the best of them."""

from types import SimpleNamespace

import pytest

from latentbench.errors import UserError
from latentbench.results.store import Store
from latentbench.tuning.trials import Searched, Trial, values

TUNING = SimpleNamespace(metric="nelbo", index=None, where=lambda key: f"suite.yaml: {key}")
KNN = SimpleNamespace(metric="knn_accuracy", index=200.0, where=TUNING.where)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "r")


def row(run_id, value, metric="nelbo", evaluation="elbo-1", index=None, split="validation"):
    return {"run_id": run_id, "evaluation_id": evaluation, "evaluation": "e", "metric": metric, "value": value, "index": index, "split": split}


def write(store, *rows):
    for run_id, evaluation in {(one["run_id"], one["evaluation_id"]) for one in rows}:
        chosen = [one for one in rows if (one["run_id"], one["evaluation_id"]) == (run_id, evaluation)]
        store.write_rows("metrics", f"{run_id}-{evaluation}", chosen)


def read(store, *groups, tuning=TUNING, evaluation="elbo-1"):
    """The values of models that have these runs."""
    return values(groups, store, tuning, evaluation)


def test_a_trial_is_worth_the_mean_over_the_runs_of_its_model(store):
    write(store, row("a1", 1.0), row("a2", 4.0), row("b1", 7.0))
    assert read(store, ["a1", "a2"], ["b1"]) == [2.5, 7.0]


def test_a_run_without_the_metric_fails_its_trial_and_no_other(store):
    write(store, row("a1", 1.0), row("a2", 4.0, metric="kl"), row("b1", 7.0))
    assert read(store, ["a1", "a2"], ["b1"], ["c1"]) == [None, 7.0, None]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_is_not_finite_is_no_value(store, value):
    write(store, row("a1", value))
    assert read(store, ["a1"]) == [None]


def test_other_evaluations_of_the_run_do_not_count(store):
    write(store, row("a1", 1.0), row("a1", 9.0, evaluation="elbo-2"))
    assert read(store, ["a1"]) == [1.0]


def test_the_index_is_chosen(store):
    write(store, row("a1", 0.5, "knn_accuracy", index=200.0), row("a1", 0.7, "knn_accuracy", index=1000.0))
    assert read(store, ["a1"], tuning=KNN) == [0.5]


def test_an_index_that_was_not_measured_is_named(store):
    write(store, row("a1", 0.7, "knn_accuracy", index=1000.0))
    with pytest.raises(UserError, match="index: 'knn_accuracy' was measured at 1000, not at 200"):
        read(store, ["a1"], tuning=KNN)


def test_several_values_of_one_run_are_refused(store):
    write(store, row("a1", 1.0), row("a1", 2.0, split="train"))
    with pytest.raises(UserError, match="'nelbo' has several values of one run"):
        read(store, ["a1"])


@pytest.mark.parametrize(("better", "place"), [("lower", 2), ("higher", 1)])
def test_the_best_trial_is_the_first_of_the_best_values(better, place):
    trials = [Trial({"trial": n}, value) for n, value in enumerate([3.0, 5.0, 1.0, None, 1.0, 5.0])]
    searched = Searched(None, better, trials)
    assert searched.best is trials[place]
    assert (searched.failed, searched.untuned) == (1, 3.0)


def test_where_all_trials_failed_there_is_no_best():
    searched = Searched(None, "lower", [Trial({}, None), Trial({"beta": 1}, None)])
    assert (searched.best, searched.failed, searched.untuned) == (None, 2, None)
