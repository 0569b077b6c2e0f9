"""How fast models are, and the lengths that take each of them the same time."""

from dataclasses import replace

import pytest

from latentbench.errors import UserError
from latentbench.results.store import Store
from latentbench.suites.expand import NO_CHANGES
from latentbench.suites.plan import make_plan
from latentbench.suites.run_state import Kind, RunState
from latentbench.suites.suite import load_suite
from latentbench.tuning.pace import Pace, paced, paces
from latentbench.tuning.told_apart import Named, found_by_model, matches, named, runs_of
from tests.tuning.conftest import SUITE

NAMES = ("family", "estimator", "dataset")
DEVICE = "a processor"


@pytest.fixture
def cells(suite_file, registry):
    """The models of the small suite with this training, what was found of each, and their runs in a plan, all done."""

    def made(training="{steps: 100, batch_size: 50}", names=NAMES, sweep=""):
        text = SUITE.replace("{steps: 3, batch_size: 50}", training).replace("dataset: digits", f"dataset: digits{sweep}")
        suite = load_suite(suite_file(text))
        found = found_by_model(suite, names, registry, "cpu", NO_CHANGES)
        models = [Named(named(runs[0].resolved.run, names), matches(runs, names)) for runs in found]
        return models, found, runs_of(models, names, make_plan(suite, registry, "cpu").runs)

    return made


@pytest.fixture
def timed(tmp_path):
    """The paces of models whose runs have these seconds, by model and seed, and other values of their rows."""

    def read(models, runs, seconds=lambda place, seed: 1.0, done=lambda place, seed: True, **others):
        store = Store(tmp_path)
        planned = []
        for place, items in enumerate(runs):
            stored = [item for item in items if done(place, item.run.seed)]
            for item in stored:
                values = {name: value(place, item.run.seed) for name, value in others.items()}
                row = {"status": "done", "steps": 100, "device_name": DEVICE, "threads": 1, "device_seconds": seconds(place, item.run.seed), **values}
                store.write_rows("runs", item.run.id, [{**item.run.to_row(), **row}])
            kinds = [RunState(Kind.DONE if item in stored else Kind.MISSING) for item in items]
            planned.append([replace(item, state=kind) for item, kind in zip(items, kinds, strict=True)])
        return paces(models, planned, store)

    return read


def test_a_pace_is_the_median_over_the_runs_that_are_done(cells, timed):
    models, _, runs = cells()
    found = timed(models, runs, seconds=lambda place, seed: (place + 1) * (1.0 if seed == 1 else 3.0))
    assert [(pace.runs, pace.steps, pace.seconds) for pace in found] == [(2, 100, 2.0 * (place + 1)) for place in range(len(models))]
    assert found[0].seconds_a_step == 0.02
    assert found[0].device == "a processor (1 threads)"
    half = timed(models, runs, seconds=lambda place, seed: 3.0, done=lambda place, seed: seed == 1)
    assert [(pace.runs, pace.seconds) for pace in half] == [(1, 3.0)] * len(models)


REFUSED = {
    "not run": (
        {"done": lambda place, seed: place != 1},
        "the pace of family=poisson estimator=exact dataset=digits is unknown, as its runs are missing",
    ),
    "not timed": (
        {"seconds": lambda place, seed: None},
        "the pace of family=poisson estimator=mc dataset=digits is unknown, as its runs are not timed",
    ),
    "models on two devices": (
        {"device_name": lambda place, seed: "another" if place == 2 else DEVICE},
        "dataset=digits was timed on a processor (1 threads), and family=gaussian estimator=mc dataset=digits on another (1 threads): seconds of one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_pace_that_is_not_known_is_refused(name, cells, timed):
    models, _, runs = cells()
    how, message = REFUSED[name]
    with pytest.raises(UserError) as error:
        timed(models, runs, **how)
    assert message in str(error.value)


def test_runs_of_one_model_on_two_devices_are_refused(cells, timed):
    models, _, runs = cells()
    with pytest.raises(UserError, match=r"^runs of family=poisson .* were timed on a processor \(1 threads\) and on another \(1 threads\): seconds"):
        timed(models, runs, device_name=lambda place, seed: DEVICE if seed == 1 else "another")


def test_runs_of_different_lengths_are_refused(cells, timed):
    models, _, runs = cells(names=("family",))
    lengths = iter(range(10, 1000))
    with pytest.raises(
        UserError, match=r"runs of family=poisson have different lengths \(10, 11, 12, 13, 14, 15 steps\): name what tells them apart"
    ):
        timed(models, runs, steps=lambda place, seed: next(lengths))


@pytest.mark.parametrize(("seconds", "steps"), [(1.0, 50), (2.0, 100), (5.0, 250), (0.03, 2)])
def test_a_model_gets_the_steps_that_it_does_in_the_time(seconds, steps, cells, registry):
    models, found, _ = cells()
    answer = paced(models[0], found[0], Pace(2, 100, 2.0, DEVICE), seconds, registry, "cpu")
    assert answer.steps == steps
    assert answer.lengths == {0: {} if steps == 100 else {"training.steps": steps}}


def test_durations_in_steps_and_epochs_are_scaled_with_the_length(cells, registry):
    models, found, _ = cells("{epochs: 10, batch_size: 50, warmup: 2 epochs, beta_anneal: 100 steps, temperature_portion: 0.3}")
    answer = paced(models[0], found[0], Pace(2, 100, 2.0, DEVICE), 3.0, registry, "cpu")
    assert answer.lengths == {0: {"training.epochs": 15.0, "training.warmup": "3 epochs", "training.beta_anneal": "150 steps"}}


def test_a_budget_of_less_than_a_step_is_refused(cells, registry):
    models, found, _ = cells()
    with pytest.raises(UserError, match=r"^0.019 s are less than a step of family=poisson estimator=mc dataset=digits, which takes 0.02 s$"):
        paced(models[0], found[0], Pace(2, 100, 2.0, DEVICE), 0.019, registry, "cpu")


def test_schedules_that_differ_within_a_model_are_refused(cells, registry):
    models, found, _ = cells(names=("family",), sweep=", training: {warmup: [5 steps, 6 steps]}")
    with pytest.raises(UserError, match=r"runs of family=poisson have different lengths \(schedules\)"):
        paced(models[0], found[0], Pace(2, 100, 2.0, DEVICE), 3.0, registry, "cpu")
