"""The kernel against the formula in float64 from the same noise, and against the CPU's sampler in distribution.

Without a GPU it runs in Triton's interpreter. A true sampler fails a chi-square or Kolmogorov-Smirnov test at p < 1e-6, or a comparison at five
standard errors, with probability 1e-6; there are some 30 here, so one fails this file with probability 3e-5.
"""

import math
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

from latentbench.blocks import relaxed_poisson, relaxed_poisson_triton
from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.indicators import reach
from latentbench.streams import stream
from tests.blocks import relaxations
from tests.blocks.philox import exponentials, philox, relaxed_counts

exponential = relaxed_poisson_triton._exponential
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
INTERPRETED = DEVICE.type == "cpu"
N, SEED = 8192, 0x0123456789ABCDEF


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch):
    """The interpreter's time goes by operations, whatever their size."""
    if INTERPRETED:
        monkeypatch.setattr(relaxed_poisson_triton, "BLOCK", N)


@pytest.fixture
def kernel_everywhere(monkeypatch):
    monkeypatch.setattr(relaxed_poisson, "uses_kernel", lambda rate: True)


def sample(rate, temperature, n_exp, seed=SEED, with_hard=True, relaxation="sigmoid"):
    rate = rate.to(DEVICE)
    seed = torch.tensor([seed], device=DEVICE)
    return relaxed_poisson_triton.sample(rate, seed, temperature, reach(temperature, torch.float32, relaxation), n_exp, with_hard, relaxation)


def mixed_rates(n=2000):
    return torch.logspace(-4, 1, n, dtype=torch.float32)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_reference_noise_is_philox(counter, key, words):
    """Against the known answers of Random123, kat_vectors."""
    assert tuple(map(int, philox(key, counter))) == words


@pytest.mark.parametrize(("temperature", "n_exp"), [(0.05, 40), (0.5, 40), (0.5, 3), (0.05, 1), (0.5, 6)])
def test_counts_and_slopes_are_the_formula_s_in_float64_from_the_same_noise(temperature, n_exp):
    """Rates from 1e-4 to 10; the largest needs 26 arrivals at T = 0, and what its 41st adds at T = .5 is cut off in both."""
    rate = mixed_rates()
    z, slope, hard = (x.cpu().double().numpy() for x in sample(rate, temperature, n_exp))
    expected = relaxed_counts(rate.double().numpy(), exponentials(SEED, len(rate), n_exp), temperature)
    # An arrival at S has an error of 2^-24 (n + 4) S in float32, which sigmoid((1 - S) / T) multiplies by at most 1 / (4 T); up to 20 overlap.
    rounding = 2**-24 * (n_exp + 4) / (4 * temperature)
    assert np.allclose(z, expected[0], rtol=rounding, atol=20 * rounding)
    assert np.allclose(slope * rate.numpy(), expected[1] * rate.double().numpy(), rtol=20 * rounding, atol=20 * rounding / temperature)
    assert (hard == expected[2]).mean() > 0.999  # an arrival at 1 within rounding
    assert n_exp < 40 or expected[2].max() > 10


@pytest.mark.parametrize("relaxation", relaxations.RAMPS)
@pytest.mark.parametrize(("temperature", "n_exp"), [(0.2, 40), (0.5, 6), (1.5, 40)])
def test_ramps_are_the_formula_s_in_float64_from_the_same_noise(relaxation, temperature, n_exp):
    """Slopes of the linear ramp jump by 1 / 2T at its corners, where an arrival may lie within rounding: one in a thousand units may differ."""
    rate = mixed_rates()
    z, slope, hard = (x.cpu().double().numpy() for x in sample(rate, temperature, n_exp, relaxation=relaxation))
    leaf = rate.double().requires_grad_()
    times = torch.from_numpy(exponentials(SEED, len(rate), n_exp)).cumsum(0) / leaf
    expected = relaxations.indicator(relaxation, times, temperature).sum(0)
    (expected_slope,) = torch.autograd.grad(expected.sum(), leaf)
    # An arrival at S has an error of 2^-24 (n + 4) S in float32, which a ramp multiplies by at most .94 / T.
    rounding = 2**-24 * (n_exp + 4) / temperature
    assert np.allclose(z, expected.detach().numpy(), rtol=rounding, atol=20 * rounding)
    close = np.isclose(slope * rate.numpy(), (expected_slope * leaf.detach()).numpy(), rtol=20 * rounding, atol=60 * rounding / temperature)
    assert close.mean() > (0.999 if relaxation == "linear" else 1 - 1e-9)
    assert (hard == (times.detach() < 1).sum(0).numpy()).mean() > 0.999


@triton.jit
def _exponentials(words, lows, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, exponential(tl.load(words + i).to(tl.uint32), tl.load(lows + i).to(tl.uint32)))


def test_small_numbers_keep_all_their_bits():
    """An event of rate 1e-9 is u < 1e-9, which 32 bits cannot say; the largest word must not give an infinite waiting time."""
    words = [0, 0, 1, 3, 1000, 2**20, 2**27, 2**27 + 12345, 2**31, 2**32 - 2**20, 2**32 - 1]
    lows = [1, 2**31, 2**31, 7] + [0] * 7
    pad = 16 - len(words)
    w, low = (torch.tensor(x + [5] * pad, dtype=torch.int64, device=DEVICE) for x in (words, lows))
    out = torch.empty(16, device=DEVICE)
    _exponentials[(1,)](w, low, out, N=16)
    u = np.where(w.cpu() < 2**26, (w.cpu().numpy() + low.cpu().numpy() / 2**32) / 2**32, w.cpu().numpy() / 2**32)
    assert np.allclose(out.cpu().double().numpy(), -np.log1p(-u), rtol=2**-24 / 0.03, atol=0)  # 1 - u has 24 bits


@pytest.mark.parametrize("rate", [0.05, 1.0, 7.0])
def test_hard_counts_are_poisson(rate):
    n_exp = arrivals_needed(rate)
    hard = sample(torch.full((2 * N,), rate), 0.01, n_exp)[2].cpu()
    cells = np.arange(int(stats.poisson.ppf(0.999, rate)) + 1)
    counts = np.bincount(hard.long().numpy().clip(0, len(cells)), minlength=len(cells) + 1)
    expected = np.append(stats.poisson.pmf(cells, rate), stats.poisson.sf(cells[-1], rate)) * len(hard)
    assert stats.chisquare(counts, expected).pvalue > 1e-6


@pytest.mark.parametrize(("rate", "temperature", "n_exp"), [(0.03, 0.05, 2), (1.0, 0.3, 9), (3.0, 0.05, 13), (0.3, 1.0, 4)])
def test_values_and_slopes_have_the_distribution_of_the_cpu_s(rate, temperature, n_exp):
    z, slope, _ = (x.cpu().double().numpy() for x in sample(torch.full((N,), rate), temperature, n_exp))
    leaf = torch.full((N,), rate, dtype=torch.float64, requires_grad=True)
    expected = relaxed_poisson.relaxed_poisson(leaf, temperature, n_exp, stream(3))
    (expected_slope,) = torch.autograd.grad(expected.sum(), leaf)
    for ours, theirs in ((z, expected.detach().numpy()), (slope, expected_slope.numpy())):
        error = math.sqrt((ours.var() + theirs.var()) / N)
        assert abs(ours.mean() - theirs.mean()) < 5 * error
        squares = [(x - x.mean()) ** 2 for x in (ours, theirs)]
        assert abs(squares[0].mean() - squares[1].mean()) < 5 * math.sqrt((squares[0].var() + squares[1].var()) / N)
        assert stats.ks_2samp(ours.round(6), theirs.round(6)).pvalue > 1e-6


@pytest.mark.parametrize(("rate", "temperature"), [(0.5, 1.0), (2.0, 0.3)])
def test_means_without_a_cut_are_analytic(rate, temperature):
    """E z = rate T ln(1 + e^(1 / T))."""
    z = sample(torch.full((N,), rate), temperature, 10**6)[0].double()
    assert abs(float(z.mean()) - rate * temperature * math.log1p(math.exp(1 / temperature))) < 5 * float(z.std()) / N**0.5


def test_the_slope_is_that_of_finite_differences_at_common_noise():
    """Central differences in float32 with a step h of 1 %: h^2 f''' / 6 and rounding by 2^-24 z / h are below a part in a hundred."""
    rate = torch.linspace(0.5, 6, 500)
    slope = sample(rate, 0.5, 60)[1].cpu()
    up, down = ((1 + h) * rate for h in (0.01, -0.01))
    differences = (sample(up, 0.5, 60)[0].cpu() - sample(down, 0.5, 60)[0].cpu()) / (up - down)
    assert torch.allclose(slope, differences, rtol=0.01, atol=0.01)


def test_the_gradient_is_the_slope_and_hard_counts_have_none():
    rate = torch.rand(3, 5).mul(3).to(DEVICE).requires_grad_()
    z, slope, hard = sample(rate, 0.3, 20)
    weights = torch.linspace(-1, 2, 15, device=DEVICE).view(3, 5)
    (gradient,) = torch.autograd.grad((weights * z).sum(), rate)
    assert torch.equal(gradient, weights * slope.detach())
    assert not hard.requires_grad


def test_a_second_derivative_is_refused():
    rate = torch.ones(3, device=DEVICE, requires_grad=True)
    (slope,) = torch.autograd.grad(sample(rate, 0.5, 5)[0].square().sum(), rate, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_torch_finds_the_operation_in_order():
    """Its schema, its fake implementation and its registered gradient (the fourth check of torch differentiates the slope, which is refused)."""
    for with_hard in (True, False):
        arguments = (torch.rand(3, 4, device=DEVICE, requires_grad=True), torch.tensor([7], device=DEVICE), 0.5, 11.0, 20, with_hard)
        torch.library.opcheck(relaxed_poisson_triton.sample, arguments, test_utils=("test_schema", "test_autograd_registration", "test_faketensor"))


def test_draws_do_not_depend_on_the_size_of_blocks(monkeypatch):
    before = sample(mixed_rates(), 0.3, 30)
    for block in (64, 512):
        monkeypatch.setattr(relaxed_poisson_triton, "BLOCK", block)
        for one, other in zip(before, sample(mixed_rates(), 0.3, 30), strict=True):
            assert torch.equal(one, other)


def test_the_seed_is_read_when_the_kernel_runs():
    """A step that was captured is replayed with the same memory: what lies there decides."""
    rate, seed = torch.full((100,), 2.0, device=DEVICE), torch.tensor([1], device=DEVICE)
    call = partial(relaxed_poisson_triton.sample, rate, seed, 0.1, reach(0.1, torch.float32), 12, False)
    first, again = call()[0], call()[0]
    seed.fill_(2)
    second = call()[0]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(second, sample(rate.cpu(), 0.1, 12, seed=2)[0])


def test_both_halves_of_the_seed_and_of_the_unit_s_number_count():
    one, other = (sample(torch.full((64,), 3.0), 0.1, 13, seed)[0] for seed in (5, 5 + 2**32))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (2, 3, 5), ()])
def test_it_takes_any_shape(shape):
    z, slope, hard = sample(torch.full(shape, 0.7), 0.1, 9)
    assert z.shape == slope.shape == hard.shape == torch.Size(shape)
    assert sample(torch.full(shape, 0.7), 0.1, 9, with_hard=False)[2].numel() == 0


def test_rates_need_not_be_contiguous():
    rate = mixed_rates(600).view(20, 30)
    for one, other in zip(sample(rate.T, 0.2, 20), sample(rate.T.contiguous(), 0.2, 20), strict=True):
        assert torch.equal(one, other)


def test_extremes_are_finite_and_end():
    rate = torch.tensor([1e-38, 1e-7, 1e-3, 1.0, 250.0]).repeat(20)
    for temperature in (1e-3, 1.0):
        z, slope, hard = sample(rate, temperature, arrivals_needed(250.0))
        assert all(bool(x.isfinite().all()) for x in (z, slope, hard))
    assert bool(sample(torch.tensor([math.nan, 1.0]), 0.1, 2**31)[2].isfinite().all())


def test_the_sampler_calls_it_with_noise_of_the_generator(kernel_everywhere):
    """The generator's state, which a training saves, gives the numbers back."""
    rate, generator = torch.full((50, 4), 2.0, device=DEVICE, requires_grad=True), stream(1, device=DEVICE)
    state = generator.get_state()
    draws = [relaxed_poisson.relaxed_and_hard_poisson(rate, 0.1, 12, generator) for _ in range(2)]
    assert not torch.equal(draws[0][0], draws[1][0])
    generator.set_state(state)
    for before in draws:
        for one, other in zip(before, relaxed_poisson.relaxed_and_hard_poisson(rate, 0.1, 12, generator), strict=True):
            assert torch.equal(one, other)
    relaxed_poisson.relaxed_poisson(rate, 0.1, 12, generator).sum().backward()
    assert float(rate.grad.abs().sum()) > 0


def test_the_sampler_tells_it_the_relaxation(kernel_everywhere):
    """The mean and the variance are those of the cubic ramp, whose variance is .87 of the rate where a sigmoid's is .62."""
    z = relaxed_poisson.relaxed_poisson(torch.full((N,), 2.0, device=DEVICE), 0.5, 40, stream(2, device=DEVICE), "cubic").double()
    mean, variance = relaxations.cut_moments("cubic", 0.5, 2.0, 40)
    for found, expected in ((z, mean), ((z - mean) ** 2, variance)):
        assert abs(float(found.mean()) - expected) < 5 * float(found.std()) / N**0.5


def test_a_gumbel_softmax_has_no_arrivals_and_does_without_it(kernel_everywhere, monkeypatch):
    monkeypatch.setattr(relaxed_poisson_triton, "sample", None)
    assert relaxed_poisson.relaxed_poisson(torch.ones(3, device=DEVICE), 0.5, 9, stream(3, device=DEVICE), "gumbel_softmax").isfinite().all()


def test_who_uses_it():
    assert not relaxed_poisson.uses_kernel(torch.ones(2))
    assert relaxed_poisson.uses_kernel(_Like("cuda", torch.float32))
    assert not relaxed_poisson.uses_kernel(_Like("cuda", torch.float64))
    assert not relaxed_poisson.uses_kernel(_Like("mps", torch.float32))


class _Like:
    def __init__(self, device, dtype):
        self.device, self.dtype = torch.device(device), dtype


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from latentbench.blocks.relaxed_poisson_triton import BLOCK, _kernel
pointers = {"rate_ptr": "*fp32", "seed_ptr": "*i64", "z_ptr": "*fp32", "slope_ptr": "*fp32", "hard_ptr": "*fp32"}
numbers = {"units": "i32", "temperature": "fp32", "horizon": "fp32", "n_exp": "i32"}
kinds = dict.fromkeys(("WITH_HARD", "RELAXATION", "BLOCK"), "constexpr")
for arch, relaxation in ((80, "sigmoid"), (90, "sigmoid"), (90, "linear"), (90, "cubic"), (90, "quintic"), (90, "cosine")):
    constants = {"WITH_HARD": True, "RELAXATION": relaxation, "BLOCK": BLOCK}
    source = ASTSource(fn=_kernel, signature=pointers | numbers | kinds, constexprs=constants)
    assert triton.compile(source, target=GPUTarget("cuda", arch, 32)).asm["cubin"]
"""


@pytest.mark.slow
def test_it_compiles_for_gpus(tmp_path):
    """To machine code of two generations of GPUs, which needs none of them."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", COMPILE], env=environment, check=True)
