"""Poisson latents: closed forms, Algorithm 1 against scipy, and the running statistics of n_exp."""

import numpy as np
import pytest
import torch
from latentbench_poisson import PoissonPosterior, softly_below
from latentbench_poisson.arrivals import ArrivalCap, arrivals_needed
from latentbench_poisson.sampler import relaxed_and_hard_poisson, relaxed_poisson
from scipy import stats

from latentbench.streams import stream


def posterior(log_r, log_dr):
    return PoissonPosterior(torch.tensor(log_r, dtype=torch.float64), torch.tensor([log_dr], dtype=torch.float64), 5.3, ArrivalCap())


def kl_by_sum(rate_q, rate_p):
    counts = np.arange(2000)
    log_q, log_p = stats.poisson.logpmf(counts, rate_q), stats.poisson.logpmf(counts, rate_p)
    return float(np.sum(np.exp(log_q) * np.where(np.isfinite(log_q), log_q - log_p, 0.0)))


@pytest.mark.parametrize(("log_r", "log_dr"), [(-5.0, 0.3), (-5.0, 3.0), (-4.0, -2.0), (1.0, 1.5), (2.0, -4.0)])
def test_the_kl_is_that_of_the_rates(log_r, log_dr):
    stated = float(posterior([log_r], [log_dr]).kl())
    assert stated == pytest.approx(kl_by_sum(np.exp(log_r + log_dr), np.exp(log_r)), rel=1e-9)


def test_the_soft_limits_open_a_gap_between_the_kl_and_the_sampled_rates():
    """At low rates the gap is nothing, at rate 20 it is a tenth: the published loss is a bound only up to that."""
    for log_r, log_dr, gap in ((-5.0, 1.0, 2e-3), (0.0, 3.0, 0.16)):
        q, p = posterior([log_r], [log_dr]), posterior([log_r], [0.0])
        sampled = kl_by_sum(float(q.rate), float(p.rate))
        assert 0 < 1 - sampled / float(q.kl()) < gap
    assert 1 - kl_by_sum(float(q.rate), float(p.rate)) / float(q.kl()) > 0.1


def test_the_kl_does_not_cancel_near_the_prior():
    u = torch.tensor([[1e-3, -1e-3, 1e-2]])
    q = PoissonPosterior(torch.zeros(3), u, 5.3, ArrivalCap())
    assert q.kl().double() == pytest.approx((u.double() * u.double().exp() - torch.expm1(u.double())).numpy(), rel=1e-3)


def test_the_soft_limit_is_smooth_and_slightly_below_its_input():
    x = torch.linspace(-20, 40, 200, dtype=torch.float64)
    assert (softly_below(5.3, x) <= torch.minimum(x, torch.tensor(5.3, dtype=torch.float64)) + 1e-12).all()
    assert float(softly_below(5.0, torch.zeros((), dtype=torch.float64))) == pytest.approx(-0.0067153, abs=1e-6)


@pytest.mark.parametrize("rate", [1e-7, 0.01, 0.3, 1.0, 3.0, 20.0, 200.0, 250.0])
def test_n_exp_is_the_inverse_cdf(rate):
    assert arrivals_needed(rate) == max(1, int(stats.poisson.ppf(1 - 1e-5, rate)))


def test_n_exp_of_the_authors_first_epoch():
    assert arrivals_needed(200.0) == 263


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
    u = [torch.rand(rate.shape, generator=generator, dtype=torch.float64)]
    u[0] += torch.rand(rate.shape, generator=generator, dtype=torch.float64) * 2**-53  # bits below the last one of torch.rand
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


def test_n_exp_follows_the_mean_of_the_batches_largest_rates():
    cap = ArrivalCap()
    cap.update()
    assert cap.n_exp_for(torch.tensor([3.0]), 1.0) == arrivals_needed(3.0)
    cap.observe(torch.tensor([[5.0, 1.0]]))
    assert cap.n_exp_for(torch.zeros(1), 1.0) == arrivals_needed(5.0)
    cap.observe(torch.tensor([[15.0, 1.0]]))
    assert cap.n_exp_for(torch.zeros(1), 1.0) == arrivals_needed(5.0)
    cap.update()
    assert cap.n_exp_for(torch.zeros(1), 1.0) == arrivals_needed(10.0)
    restored = ArrivalCap()
    restored.load_state_dict(cap.state_dict())
    assert restored.n_exp_for(torch.zeros(1), 1.0) == arrivals_needed(10.0)


def test_prior_rates_start_where_the_authors_start_them(make_run, registry):
    from latentbench.models.model import build_model
    from latentbench.suites.resolve import assemble

    for decoder, high in (("linear", -4.0), ("test_mlp", -2.0)):
        run = make_run(decoder=decoder, latent_dim=2000).run
        log_r = build_model(assemble(run, registry), run.seed, "cpu", torch.float32).family.log_r
        assert -6.0 <= float(log_r.min()) < -5.98
        assert high - 0.02 < float(log_r.max()) <= high


def test_evaluation_draws_true_counts():
    q = posterior([0.0, 3.0], [0.0, 1.0])
    z = torch.cat([q.sample(stream(4, i)) for i in range(200)])
    assert torch.equal(z, z.round())
    assert float(z[:, 1].max()) > 40
