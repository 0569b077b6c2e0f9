"""What runs take by a measurement: arithmetic on cases made by hand."""

import pytest

from latentbench.execution.cost.measured import Measured, start_weight


def measured(**changes):
    values = {"images": 1000, "setup": 2.0, "start": 0.3, "end": 0.1, "timed": 10, "evaluation": 5.0, "share": 1.0, "memory": 10**9}
    return Measured(**{**values, **changes})


@pytest.fixture
def annealed(make_run):
    def run(**training):
        return make_run(training__steps=1000, training__batch_size=100, **{f"training__{name}": value for name, value in training.items()}).run

    return run


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"temperature_portion": 1.0}, 0.5),
        ({"temperature_portion": 0.5}, 0.25),
        ({"temperature_portion": 0}, 0.0),
        ({"temperature_start": 0.05}, 0.5),  # it stays the same: what changes otherwise changes evenly
    ],
)
def test_a_linear_anneal_weighs_the_start_by_half_its_share(annealed, training, expected):
    assert start_weight(annealed(**training), 1000) == pytest.approx(expected, abs=0.002)


def test_an_exponential_anneal_weighs_the_start_less(annealed):
    assert start_weight(annealed(temperature_anneal="exponential"), 1000) < 0.7 * start_weight(annealed(), 1000)


def test_a_family_without_a_temperature_weighs_both_ends_alike(make_run):
    assert start_weight(make_run(family="gaussian").run, 1000) == 0.5


def test_a_run_takes_its_setup_its_steps_and_its_evaluations(annealed):
    run = annealed(temperature_portion=1.0)
    assert measured().step(run) == pytest.approx(0.2)
    assert measured().training(run) == pytest.approx(2 + 1000 * 0.2)
    assert measured().seconds(run) == pytest.approx(2 + 1000 * 0.2 + 5)
    assert measured(evaluation=None).seconds(run) == measured().training(run)


def test_a_length_in_epochs_depends_on_the_images(make_run):
    run = make_run(family="gaussian", training__steps=None, training__epochs=3, training__batch_size=100).run
    assert measured(start=0.1).training(run) == pytest.approx(2 + 30 * 0.1)
    assert measured(start=0.1, images=2050).training(run) == pytest.approx(2 + 60 * 0.1)


def test_a_trained_run_takes_its_setup_and_evaluations():
    assert measured().evaluated_only == 7.0
