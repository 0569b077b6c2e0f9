"""Moments and effective widths of relaxations, against closed forms, the follow-up's table, quadrature and samples."""

import math

import pytest
import torch

from latentbench.blocks.relaxed_poisson import relaxed_poisson
from latentbench.blocks.smoothing import effective_width, relaxed_moments
from latentbench.streams import stream
from tests.blocks import relaxations

ARRIVALS = [row for row in relaxations.TABLE if row["method"] != "GSM"]


def test_moments_are_the_table_s():
    """All of its 125 rows of arrivals, to their five decimals."""
    assert len(ARRIVALS) == 125
    for row in ARRIVALS:
        mean, variance = relaxed_moments(relaxations.name_of(row), float(row["tau"]))
        assert mean == pytest.approx(float(row["mean_ratio_untruncated"]), abs=5.1e-6), row
        assert variance == pytest.approx(float(row["var_ratio_untruncated"]), abs=5.1e-6), row


@pytest.mark.parametrize(("name", "share"), [("linear", 1 / 3), ("cubic", 9 / 35), ("quintic", 50 / 231), ("cosine", 1 / 4)])
@pytest.mark.parametrize("temperature", [1e-3, 0.2, 1.0])
def test_ramps_take_their_share_of_the_temperature(name, share, temperature):
    assert effective_width(name, temperature) == pytest.approx(share * temperature, rel=1e-12)
    assert relaxed_moments(name, temperature).mean == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("temperature", [0.3, 1.6, 4.0])
@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_moments_are_those_of_uncut_sums_by_quadrature(name, temperature):
    """Also where ramps begin before time 0."""
    mean, variance = relaxations.cut_moments(name, temperature, 1.0, 2000)
    assert relaxed_moments(name, temperature) == pytest.approx((mean, variance), rel=1e-6)


def test_the_sigmoid_smooths_as_much_as_the_cubic_ramp_at_3_9_times_the_temperature():
    assert effective_width("sigmoid", 0.1) == pytest.approx(effective_width("cubic", 35 / 9 * 0.1), rel=1e-4)
    assert effective_width("sigmoid", 1.0) == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-12)


@pytest.mark.parametrize("rate", [0.3, 2.0, 15.0])
def test_the_gumbel_softmax_takes_t_of_the_variance_to_first_order(rate):
    """At T = .1, within 5 standard errors and T^2."""
    z = relaxed_poisson(torch.full((200_000,), rate, dtype=torch.float64), 0.1, 60, stream(1), "gumbel_softmax")
    squares = (z - z.mean()) ** 2
    error = 5 * float(squares.std() + z.std()) / len(z) ** 0.5 / rate
    assert float(z.mean() - z.var()) / rate == pytest.approx(effective_width("gumbel_softmax", 0.1), abs=0.1**2 + error)


def test_a_temperature_must_be_positive():
    with pytest.raises(ValueError, match="positive temperature"):
        effective_width("cubic", 0.0)
