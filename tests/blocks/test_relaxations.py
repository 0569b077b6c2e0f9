"""The sampler with every relaxation: values and slopes from the same noise, gradients by finite differences, moments, hard counts, extremes.

A comparison at five standard errors fails by chance with probability 6e-7; there are some 400 of these here, so a true sampler fails this file with
probability below 3e-4.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from latentbench.blocks import arrivals_loop
from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.indicators import INDICATORS
from latentbench.blocks.relaxed_categorical import gumbel_noise
from latentbench.blocks.relaxed_poisson import UNLIMITED, relaxed_and_hard_poisson, relaxed_poisson
from latentbench.streams import stream
from tests.blocks import relaxations

N = 20_000
KINDS = (*relaxations.INDICATORS, "gumbel_softmax")
each = pytest.mark.parametrize("name", KINDS)
ramp = pytest.mark.parametrize("name", relaxations.RAMPS)
RATE = torch.tensor([[0.02, 0.4, 2.5], [9.0, 1.0, 0.1]], dtype=torch.float64)


def naive(rate, name, temperature, n_exp, generator):
    """Algorithm 1 under autograd, from the noise that the sampler draws for up to 8 rates, all of which it keeps."""
    byte = torch.empty(1, dtype=torch.int64).random_(-(2**63), None, generator=generator).view(torch.uint8)[: rate.numel()].view(rate.shape)
    u = torch.rand(rate.shape, generator=generator, dtype=torch.float64)
    u += torch.rand(rate.shape, generator=generator, dtype=torch.float64) * 2**-53
    later = [torch.rand(rate.shape, generator=generator, dtype=torch.float64) for _ in range(n_exp - 1)]
    times = torch.cumsum(-torch.log1p(-torch.stack([(byte + u) / 2**8, *later])) / rate, dim=0)
    return relaxations.indicator(name, times, temperature).sum(0)


@pytest.mark.parametrize("temperature", [0.2, 0.6, 1.5])
@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_values_and_gradients_are_those_of_algorithm_1_from_the_same_noise(monkeypatch, name, temperature):
    monkeypatch.setattr(arrivals_loop, "MAX_LEFT", 0)  # none is dropped, so the noise keeps its order
    rate = torch.tensor([[3.0, 2.0, 9.0]], dtype=torch.float64, requires_grad=True)
    expected = naive(rate, name, temperature, 30, stream(2))
    (slope,) = torch.autograd.grad(expected.sum(), rate)
    z = relaxed_poisson(rate, temperature, 30, stream(2), name)
    assert torch.allclose(z, expected, rtol=1e-12)
    assert torch.allclose(torch.autograd.grad(z.sum(), rate)[0], slope, rtol=1e-10)


def test_values_and_gradients_of_the_gumbel_softmax_are_the_formula_s_from_the_same_noise():
    rate = RATE.flatten().clone().requires_grad_()
    k = torch.arange(25, dtype=torch.float64)
    logits = k * rate.log()[:, None] - torch.lgamma(k + 1)
    expected = ((logits + gumbel_noise(logits.detach(), stream(3))) / 0.4).softmax(1) @ k
    (slope,) = torch.autograd.grad(expected.sum(), rate)
    z, hard = relaxed_and_hard_poisson(rate, 0.4, 25, stream(3), "gumbel_softmax")
    assert torch.allclose(z, expected, rtol=1e-12)
    assert torch.allclose(torch.autograd.grad(z.sum(), rate)[0], slope, rtol=1e-9)
    assert torch.equal(hard, (logits + gumbel_noise(logits.detach(), stream(3))).argmax(1).double())


@pytest.mark.parametrize("n_exp", [3, 30])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
@each
def test_gradients_agree_with_finite_differences_at_common_noise(name, temperature, n_exp):
    rate = RATE.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda r: relaxed_poisson(r, temperature, n_exp, stream(8), name), (rate,), eps=1e-7, atol=1e-5)


def moments_agree(z, mean, variance):
    """Five standard errors of the sample's mean and variance."""
    squares = (z - mean) ** 2
    for found, expected in ((z, mean), (squares, variance)):
        assert abs(float(found.mean()) - expected) < 5 * float(found.std()) / len(z) ** 0.5 + 1e-12


@pytest.mark.parametrize(
    "row", [row for row in relaxations.TABLE if row["method"] != "GSM"], ids=lambda row: f"{row['method']}-{row['rate']}-{row['tau']}"
)
def test_moments_are_those_of_the_follow_up_s_table(row):
    """Cut off as there: the table's means are those of quadrature to its five decimals, and so are the moments of float32 samples, statistically."""
    name, rate, temperature, n_exp = relaxations.name_of(row), float(row["rate"]), float(row["tau"]), int(row["n_exp_or_U"])
    assert n_exp == arrivals_needed(rate, 1e-3)
    mean, variance = relaxations.cut_moments(name, temperature, rate, n_exp)
    assert mean / rate == pytest.approx(float(row["mean_ratio_truncated"]), abs=6e-6)
    moments_agree(relaxed_poisson(torch.full((N,), rate), temperature, n_exp, stream(4, *row.values()), name).double(), mean, variance)


@pytest.mark.parametrize("row", relaxations.TABLE, ids=lambda row: f"{row['method']}-{row['rate']}-{row['tau']}")
def test_moments_agree_with_those_measured_with_the_authors_code(row):
    """The variance of all rows and the mean of the Gumbel-softmax, within five standard errors of 20,000 samples on either side.

    How many samples the table has is not said; its means of the Gumbel-softmax scatter about ours as those of 20,000 do.
    """
    name, rate = relaxations.name_of(row), float(row["rate"])
    z = relaxed_poisson(torch.full((N,), rate), float(row["tau"]), int(row["n_exp_or_U"]), stream(15, *row.values()), name).double()
    squares = (z - z.mean()) ** 2
    theirs = {"var_ratio_truncated_mc": squares, **({"mean_ratio_truncated": z} if name == "gumbel_softmax" else {})}
    for column, ours in theirs.items():
        assert abs(float(row[column]) * rate - float(ours.mean())) < 5 * float(ours.std()) * (2 / N) ** 0.5


@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_moments_with_all_arrivals(name):
    for rate, temperature in ((0.1, 0.5), (5.0, 0.2), (20.0, 1.4)):
        expected = relaxations.cut_moments(name, temperature, rate, 4000)
        moments_agree(relaxed_poisson(torch.full((N,), rate), temperature, UNLIMITED, stream(5, name), name).double(), *expected)


@each
def test_cold_counts_are_their_hard_counts_and_these_are_poisson(name):
    z, hard = relaxed_and_hard_poisson(torch.full((N,), 2.5, dtype=torch.float64), 1e-4, arrivals_needed(2.5), stream(6), name)
    assert float((z - hard).abs().mean()) < 2e-3
    cells = np.arange(9)
    counts = np.bincount(hard.long().numpy().clip(0, 9), minlength=10)
    assert stats.chisquare(counts, np.append(stats.poisson.pmf(cells, 2.5), stats.poisson.sf(8, 2.5)) * N).pvalue > 1e-6


@ramp
def test_the_mean_of_a_ramp_is_right_where_the_sigmoid_s_is_not(name):
    """At rate 3 and T = .5, with all arrivals: the sigmoid's is 6.3 % too large."""
    rate = torch.full((100_000,), 3.0)
    z, sigmoid = (relaxed_poisson(rate, 0.5, UNLIMITED, stream(7), kind).double() for kind in (name, "sigmoid"))
    error = 5 * float(z.std()) / len(z) ** 0.5
    assert abs(float(z.mean()) - 3) < error < float(sigmoid.mean()) - 3


@each
def test_it_takes_any_shape_and_extreme_rates(name):
    for dtype in (torch.float32, torch.float64):
        rate = torch.tensor([[1e-7, 1e-3], [1.0, 250.0]], dtype=dtype, requires_grad=True)
        for temperature in (1e-3, 1.0):
            z = relaxed_poisson(rate, temperature, arrivals_needed(250.0), stream(9), name)
            (slope,) = torch.autograd.grad(z.sum(), rate)
            assert z.shape == rate.shape
            assert torch.isfinite(z).all()
            assert torch.isfinite(slope).all()
    assert relaxed_poisson(torch.ones(0, 3), 0.5, 5, stream(10), name).shape == (0, 3)


@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_the_loop_for_other_devices_has_the_same_moments(name):
    sums = arrivals_loop.every_arrival(torch.full((N,), 1.3), INDICATORS[name], 0.6, 9, stream(11), True)
    moments_agree(sums.z.double(), *relaxations.cut_moments(name, 0.6, 1.3, 9))
    leaf = torch.full((N,), 1.3, requires_grad=True)
    (slope,) = torch.autograd.grad(relaxed_poisson(leaf, 0.6, 9, stream(12), name).sum(), leaf)
    error = ((sums.slope.var() + slope.var()) / N) ** 0.5
    assert abs(float(sums.slope.mean() - slope.mean())) < 5 * float(error)


@ramp
def test_units_are_dropped_at_the_end_of_the_ramp(monkeypatch, name):
    """Numbers of arrivals that are looked at: at T = .05 about half of what a sigmoid needs."""
    weighed = []
    count = arrivals_loop._count
    monkeypatch.setattr(arrivals_loop, "_count", lambda time, *rest: (weighed.append(len(time)), count(time, *rest)))
    rate, looked = torch.full((100_000,), 0.05), {}
    for kind in ("sigmoid", name):
        weighed.clear()
        relaxed_poisson(rate, 0.05, UNLIMITED, stream(13), kind)
        looked[kind] = sum(weighed)
    assert looked[name] < 0.7 * looked["sigmoid"]


@pytest.mark.parametrize("n_exp", [1, UNLIMITED])
def test_a_gumbel_softmax_needs_a_few_counts(n_exp):
    with pytest.raises(ValueError, match="at least 2 counts"):
        relaxed_poisson(torch.ones(2), 0.5, n_exp, stream(14), "gumbel_softmax")
