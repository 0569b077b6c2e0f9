"""Phases of training: texts, numbers, and steps."""

import pytest

from latentbench.suites.phase import Phase
from latentbench.suites.settings import Training


@pytest.mark.parametrize(
    ("value", "phase", "steps"),
    [
        (0.25, Phase(0.25), 50),
        (1, Phase(1.0), 200),
        ("1.5 epochs", Phase(1.5, "epochs"), 30),
        (" 2e1steps ", Phase(20.0, "steps"), 20),
    ],
)
def test_a_phase_in_steps(value, phase, steps):
    assert Phase.parse(value) == phase
    assert phase.in_steps(200, 20) == steps
    assert Phase.parse(phase.written) == Phase.parse(phase) == phase


@pytest.mark.parametrize(("value", "tenth"), [(0.25, 0.25), ("5 epochs", "0.5 epochs"), ("10 steps", "1 steps")])
def test_shares_scale_with_the_run_by_themselves(value, tenth):
    assert Phase.parse(value).scaled(0.1).written == tenth


@pytest.mark.parametrize("default", ["warmup", "beta_anneal", "temperature_portion"])
def test_defaults_are_phases(default):
    assert isinstance(getattr(Training(steps=100), default), Phase)
