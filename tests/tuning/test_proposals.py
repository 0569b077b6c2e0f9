"""What a search proposes."""

import sys

import pytest

from latentbench.errors import UserError
from latentbench.search import Choices, Range
from latentbench.tuning.proposals import Proposals, check_optuna

SPACE = {"beta": Range(low=0.1, high=10.0, log=True), "latent_dim": Range(low=2, high=9), "training.optimizer": Choices(choices=("adam", "sgd"))}


def bowl(settings):
    """Lowest at beta = 1."""
    return (settings["beta"] - 1) ** 2


def proposed(n, model=None, space=SPACE, better="lower", value=bowl):
    """What `n` trials propose that are told their values."""
    search = Proposals(model or {"family": "poisson"}, space, better)
    search.add({"beta": 5.0}, 16.0)
    found = []
    for _ in range(n):
        found.append(search.ask())
        search.tell(value(found[-1]))
    return found


def test_proposals_are_within_the_space():
    found = proposed(15)
    assert all(0.1 <= one["beta"] <= 10 and one["latent_dim"] in range(2, 10) and one["training.optimizer"] in ("adam", "sgd") for one in found)
    assert all(isinstance(one["latent_dim"], int) for one in found)


def test_the_same_values_give_the_same_proposals():
    """Beyond the first ten, which optuna draws whatever it was told."""
    assert proposed(14) == proposed(14)


def test_more_trials_go_on_from_fewer():
    assert proposed(14)[:11] == proposed(11)


def test_another_value_gives_other_proposals():
    assert proposed(14) != proposed(14, value=lambda settings: -bowl(settings))


@pytest.mark.parametrize("change", [{"model": {"family": "gaussian"}}, {"space": {**SPACE, "beta": Range(low=0.1, high=11.0, log=True)}}])
def test_another_model_or_space_has_a_search_of_its_own(change):
    assert proposed(3) != proposed(3, **change)


@pytest.mark.parametrize(("better", "value"), [("lower", bowl), ("higher", lambda settings: -bowl(settings))])
def test_a_search_comes_nearer_than_random_trials(better, value):
    """Of 40 trials the last 20 lie nearer to the best value than the first ten, which are random."""
    distances = [abs(one["beta"] - 1) for one in proposed(40, better=better, value=value)]
    assert sum(distances[20:]) / 20 < sum(distances[:10]) / 10


def test_a_failed_trial_has_no_value():
    search = Proposals({"family": "poisson"}, SPACE, "lower")
    search.add({}, None)
    search.ask()
    search.tell(None)
    assert [(trial.state.name, trial.value) for trial in search.study.trials] == [("FAIL", None), ("FAIL", None)]


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'latentbench\[tune\]'"):
        check_optuna()
