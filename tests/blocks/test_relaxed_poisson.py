"""The sampler against Algorithm 1 as the paper writes it: distributions, gradients, extremes.

Two samples of the same distribution fail a comparison at five standard errors with probability 6e-7, a Kolmogorov-Smirnov test at p < 1e-6 with
1e-6; with some 250 comparisons below, a true sampler fails this file with probability below 3e-4. Values are rounded to 6 decimals before they
are compared: what lies beyond the sampler's horizon is below 1e-8.
"""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Exponential

from latentbench.blocks import arrivals_loop
from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.arrivals_loop import every_arrival
from latentbench.blocks.indicators import INDICATORS
from latentbench.blocks.relaxed_poisson import UNLIMITED, relaxed_and_hard_poisson, relaxed_poisson
from latentbench.streams import forked, stream

N = 20_000
RATES = [1e-3, 0.03, 0.3, 1.0, 3.0, 20.0]
TEMPERATURES = [0.01, 0.05, 0.3, 1.0]


def naive(rate, n_exp, temperature):
    times = torch.cumsum(Exponential(rate).rsample((n_exp,)), dim=0)
    return torch.sigmoid((1 - times) / temperature).sum(0)


def with_slope(z, rate):
    (slope,) = torch.autograd.grad(z.sum(), rate)
    return z.detach().double(), slope.double()


def same_distribution(one, other):
    one, other = (np.round(x.numpy(), 6) for x in (one, other))
    error = math.sqrt((one.var() + other.var()) / len(one))
    assert abs(one.mean() - other.mean()) <= 5 * error + 1e-7
    squares = [(x - x.mean()) ** 2 for x in (one, other)]
    assert abs(squares[0].mean() - squares[1].mean()) <= 5 * math.sqrt((squares[0].var() + squares[1].var()) / len(one)) + 1e-7
    assert stats.ks_2samp(one, other).pvalue > 1e-6


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("value", RATES)
def test_values_and_slopes_have_the_distribution_of_algorithm_1(value, temperature):
    """With the same n_exp, in float32, for z and for dz / d(rate)."""
    rate = torch.full((N,), value, requires_grad=True)
    n_exp = arrivals_needed(value)
    ours = with_slope(relaxed_poisson(rate, temperature, n_exp, stream(1, str(value), str(temperature))), rate)
    with forked(int(1e6 * value + 1e3 * temperature)):
        theirs = with_slope(naive(rate, n_exp, temperature), rate)
    for one, other in zip(ours, theirs, strict=True):
        same_distribution(one, other)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_mixed_rates_have_the_distribution_of_algorithm_1(temperature):
    """Compaction reorders units: each must keep its own arrivals. Sums over the units of each rate are compared."""
    values = torch.tensor([1e-3, 0.1, 1.0, 5.0])
    rate = values.repeat(N).requires_grad_()
    z, slope = with_slope(relaxed_poisson(rate, temperature, 20, stream(2)), rate)
    with forked(3):
        expected = with_slope(naive(rate, 20, temperature), rate)
    for index in range(len(values)):
        same_distribution(z[index :: len(values)], expected[0][index :: len(values)])
        same_distribution(slope[index :: len(values)], expected[1][index :: len(values)])


@pytest.mark.parametrize(("value", "temperature"), [(0.5, 1.0), (3.0, 1.0), (20.0, 1.0), (3.0, 0.1), (200.0, 0.05)])
def test_uncapped_means_are_analytic(value, temperature):
    """A Poisson process has E z = rate * integral of sigmoid((1 - t) / T) = rate T ln(1 + e^(1/T)); at T = 1, 1.31 times the rate."""
    z = relaxed_poisson(torch.full((N,), value, dtype=torch.float64), temperature, UNLIMITED, stream(4, str(value)))
    expected = value * temperature * math.log1p(math.exp(1 / temperature))
    assert abs(float(z.mean()) - expected) < 5 * float(z.std()) / N**0.5


def test_the_cap_lowers_the_mean_as_the_documentation_says():
    """At T = 1: by 5 % at rate 3 and by 23 % at rate 20."""
    for value, loss in ((3.0, 0.05), (20.0, 0.23)):
        rate = torch.full((N,), value)
        capped, free = (float(relaxed_poisson(rate, 1.0, n, stream(5)).mean()) for n in (arrivals_needed(value), UNLIMITED))
        assert 1 - capped / free == pytest.approx(loss, abs=0.01)


@pytest.mark.parametrize("value", [1e-7, 1e-5])
def test_tiny_rates_have_their_mean(value):
    """torch.rand has steps of 6e-8, which is most of a rate of 1e-7: the sampler refines them."""
    draws = 40 * 2**20
    hard = sum(float(relaxed_and_hard_poisson(torch.full((2**20,), value), 0.01, 1, stream(6, i))[1].sum()) for i in range(40))
    assert stats.poisson.cdf(hard, draws * value) > 1e-6
    assert stats.poisson.sf(hard - 1, draws * value) > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1e-3, 1.0])
def test_extremes_are_finite(dtype, temperature):
    rate = torch.tensor([1e-7, 1e-3, 1.0, 250.0], dtype=dtype).repeat(64).requires_grad_()
    z = relaxed_poisson(rate, temperature, arrivals_needed(250.0), stream(7))
    z.sum().backward()
    assert z.dtype == rate.grad.dtype == dtype
    assert torch.isfinite(z).all()
    assert torch.isfinite(rate.grad).all()
    # rate * the integral of sigmoid((1 - t) / T) up to the last of n_exp arrivals, which comes at about n_exp / rate
    last = arrivals_needed(250.0) / 250
    expected = 250 * temperature * (np.logaddexp(0, 1 / temperature) - np.logaddexp(0, (1 - last) / temperature))
    assert float(z[3::4].detach().mean()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("n_exp", [3, 30, UNLIMITED])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_gradients_agree_with_finite_differences_at_common_noise(temperature, n_exp):
    rate = torch.tensor([[0.02, 0.4, 2.5], [9.0, 1.0, 0.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: relaxed_poisson(r, temperature, n_exp, stream(8)), (rate,), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("sparse", [True, False])
def test_no_gradient_is_nan_where_the_uniform_generator_returns_zero(monkeypatch, value, sparse):
    monkeypatch.setattr(torch, "rand", lambda shape, dtype=None, **_: torch.full(tuple(shape), value, dtype=dtype))
    rate = torch.full((64,), 1e-3 if sparse else 4.0, requires_grad=True)
    z = relaxed_poisson(rate, 0.05, 5, stream(9))
    z.sum().backward()
    assert torch.isfinite(z).all()
    assert torch.isfinite(rate.grad).all()


def test_the_loop_for_other_devices_has_the_same_distribution():
    rate = torch.full((N,), 1.3)
    z, slope, hard, _ = every_arrival(rate, INDICATORS["sigmoid"], 0.3, 12, stream(10), True)
    leaf = rate.clone().requires_grad_()
    expected = with_slope(relaxed_poisson(leaf, 0.3, 12, stream(11)), leaf)
    same_distribution(z.double(), expected[0])
    same_distribution(slope.double(), expected[1])
    assert abs(float(hard.mean()) - 1.3) < 5 * (1.3 / N) ** 0.5


def test_the_draws_do_not_depend_on_the_number_of_threads():
    """Another draw would change a result by about one; equal draws leave the rounding of twelve arrivals."""
    rate = torch.rand(100_000, generator=stream(12)) * 2
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        leaf = rate.clone().requires_grad_()
        results.append(with_slope(relaxed_poisson(leaf, 0.3, 12, stream(13)), leaf))
    torch.set_num_threads(1)
    for one, two in zip(*results, strict=True):
        # On processors whose vector instructions round the sigmoid otherwise than its scalar form, the ends of the threads' parts show it.
        assert torch.allclose(one, two, rtol=12 * 2**-23, atol=12 * 2**-23)


def test_chunks_cover_every_unit(monkeypatch):
    monkeypatch.setattr(arrivals_loop, "CHUNK", 7)
    for value in (0.01, 2.0):
        z, hard = relaxed_and_hard_poisson(torch.full((997,), value, dtype=torch.float64), 1e-3, UNLIMITED, stream(14))
        assert float((z - hard).abs().max()) < 1
        assert abs(float(hard.mean()) - value) < 5 * (value / 997) ** 0.5


def test_the_whole_tensor_of_arrivals_is_never_held():
    from benchmarks.harness import extra_memory

    relaxed_poisson(torch.full((10,), 0.05, requires_grad=True), 0.05, 42, stream(15)).sum().backward()  # loads the code

    def work():
        relaxed_poisson(torch.full((1000, 512), 0.05, requires_grad=True), 0.05, 42, stream(15)).sum().backward()

    assert extra_memory(work) < 20 * 2**20


@pytest.mark.parametrize("rate", [0.05, 1.0, 7.0])
def test_cold_samples_are_poisson(rate):
    """At T = .01, rounded, against scipy's probabilities; a true sampler fails with probability 1e-6 (rounding moves a count by at most 1e-2)."""
    n = 40_000
    z, hard = relaxed_and_hard_poisson(torch.full((n,), rate, dtype=torch.float64), 0.01, arrivals_needed(rate), stream(1))
    assert float((z.round() == hard).double().mean()) > 0.98
    cells = np.arange(int(stats.poisson.ppf(0.999, rate)) + 1)
    counts = np.bincount(hard.long().numpy().clip(0, len(cells)), minlength=len(cells) + 1)[: len(cells) + 1]
    expected = np.append(stats.poisson.pmf(cells, rate), stats.poisson.sf(cells[-1], rate)) * n
    assert stats.chisquare(counts, expected).pvalue > 1e-6


def test_the_sampler_is_the_paper_s_algorithm():
    """Against Algorithm 1 written out under autograd, from the same noise: values and gradients."""
    rate = torch.tensor([[0.3, 2.0, 9.0]], dtype=torch.float64, requires_grad=True)
    n_exp, temperature, generator = 30, 0.4, stream(2)
    byte = torch.empty(1, dtype=torch.int64).random_(-(2**63), None, generator=generator).view(torch.uint8)[:3]
    u = [torch.rand(rate.shape, generator=generator, dtype=torch.float64)]
    u[0] += torch.rand(rate.shape, generator=generator, dtype=torch.float64) * 2**-53  # bits below the last one of torch.rand
    u[0] = (byte + u[0]) / 2**8
    u = torch.stack(u + [torch.rand(rate.shape, generator=generator, dtype=torch.float64) for _ in range(n_exp - 1)])
    times = torch.cumsum(-torch.log1p(-u) / rate, dim=0)
    naive = torch.sigmoid((1 - times) / temperature).sum(0)
    (slope,) = torch.autograd.grad(naive.sum(), rate)
    z = relaxed_poisson(rate, temperature, n_exp, stream(2))
    assert torch.allclose(z, naive, rtol=1e-12)
    assert torch.allclose(torch.autograd.grad(z.sum(), rate)[0], slope, rtol=1e-10)


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (2, 3, 5), ()])
def test_the_sampler_takes_any_shape(shape):
    rate = torch.full(shape, 0.7, requires_grad=True)
    z, hard = relaxed_and_hard_poisson(rate, 0.1, 9, stream(3))
    z.sum().backward()
    assert z.shape == hard.shape == rate.grad.shape == torch.Size(shape)


@pytest.mark.parametrize(
    ("rate", "temperature", "n_exp", "message"),
    [
        (torch.ones(2), 0.0, 3, "positive temperature"),
        (torch.ones(2), math.nan, 3, "positive temperature"),
        (torch.ones(2, dtype=torch.float16), 0.5, 3, "float32 or float64"),
        (torch.ones(2, device="meta"), 0.5, UNLIMITED, "finite on meta"),
    ],
)
def test_what_cannot_be_sampled_is_refused(rate, temperature, n_exp, message):
    for sample in (relaxed_poisson, relaxed_and_hard_poisson):
        with pytest.raises(ValueError, match=message):
            sample(rate, temperature, n_exp, stream(16))


def test_a_second_derivative_is_refused():
    rate = torch.ones(3, requires_grad=True)
    (slope,) = torch.autograd.grad(relaxed_poisson(rate, 0.5, 5, stream(17)).square().sum(), rate, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize(("temperature", "low", "high"), [(1.0, 0.31, 0.32), (0.15, 1e-4, 2e-4), (0.05, 0, 2e-9)])
def test_the_bias_of_the_mean_is_as_documented(temperature, low, high):
    """Against the integral of sigmoid((1 - t) / T) over t > 0 that Campbell's theorem gives."""
    integral = integrate.quad(lambda t: 1 / (1 + math.exp(min((t - 1) / temperature, 700))), 0, 60, points=[1], limit=200)[0]
    assert integral == pytest.approx(temperature * math.log1p(math.exp(1 / temperature)), rel=1e-9)
    assert low < integral - 1 + 1e-12 < high
