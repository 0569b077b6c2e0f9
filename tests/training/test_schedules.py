"""Schedules at hand-computed points."""

import math

import pytest

from latentbench.suites.settings import Training
from latentbench.training.schedules import Schedules


def schedules(steps=1000, per_epoch=100, linear=True, beta=2.0, **training):
    hold = {} if linear else {"beta_hold": 0.01}
    return Schedules(Training(steps=steps, **{**hold, **training}), beta, steps, per_epoch)


def test_the_learning_rate_warms_up_from_zero_and_falls_to_its_minimum():
    s = schedules(learning_rate=0.01, warmup="2 epochs", learning_rate_min=1e-5)
    assert s.learning_rate(0) == 0
    assert s.learning_rate(50) == pytest.approx(0.0025)
    assert s.learning_rate(200) == pytest.approx(0.01)
    assert s.learning_rate(600) == pytest.approx((0.01 + 1e-5) / 2)
    assert s.learning_rate(1000) == pytest.approx(1e-5)


def test_two_restarts_go_down_up_down_up_down():
    s = schedules(steps=1000, warmup=0.0, restarts=2, learning_rate=1.0, learning_rate_min=0.0)
    assert [round(s.learning_rate(step), 6) for step in (0, 200, 400, 600, 800, 1000)] == [1, 0, 1, 0, 1, 0]


def test_a_constant_rate_stays():
    s = schedules(schedule="constant", learning_rate=0.3, warmup=0.1)
    assert s.learning_rate(99) == pytest.approx(0.297)
    assert s.learning_rate(100) == s.learning_rate(999) == 0.3


def test_the_shortest_run_still_learns():
    s = schedules(steps=1, warmup="5 epochs", learning_rate=0.2)
    assert s.learning_rate(0) == pytest.approx(0.2)


def test_the_kl_weight_ramps_over_half_the_run():
    s = schedules()
    assert s.kl_weight(0) == 1e-4
    assert s.kl_weight(499) == pytest.approx(2.0)
    assert s.kl_weight(250) == pytest.approx(1e-4 + (2 - 1e-4) * 250 / 499)
    assert s.kl_weight(999) == 2.0


def test_the_kl_weight_waits_where_the_decoder_is_not_linear():
    s = schedules(linear=False)
    assert s.kl_weight(9) == s.kl_weight(10) == 1e-4
    assert s.kl_weight(11) > 1e-4
    assert s.kl_weight(509) == pytest.approx(2.0)
    assert s.kl_weight(508) < 2.0


def test_the_temperature_falls_over_half_the_run():
    s = schedules(temperature_start=1.0, temperature_stop=0.05)
    assert s.temperature(0) == 1.0
    assert s.temperature(499) == pytest.approx(0.05)
    assert s.temperature(100) == pytest.approx(1 - 0.95 * 100 / 499)
    assert s.temperature(900) == 0.05
    assert not s.temperature_is_final(499)
    assert s.temperature_is_final(500)


def test_the_exponential_temperature_is_the_authors():
    s = schedules(temperature_start=1.0, temperature_stop=0.05, temperature_anneal="exponential")
    n = 500
    rate = -(n / (n - 1)) * math.log(0.05 / 100)
    for step in (0, 1, 77, 499):
        assert s.temperature(step) == pytest.approx(0.05 + 0.95 * math.exp(-rate * step / n))
    assert s.temperature(499) == pytest.approx(0.05 + 0.95 * 0.05 / 100)
    assert s.temperature(500) == 0.05


def test_a_run_without_temperature_is_at_one():
    assert schedules().temperature(3) == 1.0


def test_the_gradient_limit_is_three_times_larger_during_the_warm_up():
    s = schedules(grad_clip=500, warmup="1 epochs")
    assert s.clip_norm(99) == 1500
    assert s.clip_norm(100) == 500
    assert schedules().clip_norm(0) is None


def test_the_loss_is_settled_once_kl_weight_and_temperature_are():
    s = schedules(steps=100, temperature_start=1.0, temperature_stop=0.1, temperature_portion=0.5, beta_anneal=0.2)
    assert [s.loss_is_settled(step) for step in range(100)] == [step >= 50 for step in range(100)]
    assert all(schedules(beta_anneal=0.0).loss_is_settled(step) for step in range(1000))
