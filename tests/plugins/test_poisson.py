"""Poisson latents: closed forms, options, and a whole run with the naive sampler."""

import numpy as np
import pytest
import torch
from latentbench_poisson import Poisson, PoissonOptions, PoissonPosterior
from latentbench_poisson.rates import encoded_rates
from scipy import stats
from torch.distributions import Exponential

from latentbench.blocks.arrivals import ArrivalCap, arrivals_needed
from latentbench.blocks.relaxed_poisson import UNLIMITED, relaxed_and_hard_poisson, relaxed_poisson
from latentbench.streams import forked, stream


def posterior(log_r, log_dr):
    log_r, log_dr = (torch.tensor(values, dtype=torch.float64) for values in (log_r, log_dr))
    features = (log_dr - torch.log1p(-(log_dr - 10).exp()))[None]  # ln dr is softly limited to 10
    return PoissonPosterior(*encoded_rates(features, log_r, 5.3), features, ArrivalCap())


def kl_by_sum(rate_q, rate_p):
    counts = np.arange(2000)
    log_q, log_p = stats.poisson.logpmf(counts, rate_q), stats.poisson.logpmf(counts, rate_p)
    return float(np.sum(np.exp(log_q) * np.where(np.isfinite(log_q), log_q - log_p, 0.0)))


@pytest.mark.parametrize(("log_r", "log_dr"), [(-5.0, 0.3), (-5.0, 3.0), (-4.0, -2.0), (1.0, 1.5), (2.0, -4.0)])
def test_the_kl_is_that_of_the_rates(log_r, log_dr):
    stated = float(posterior([log_r], [log_dr]).kl(stream(0)))
    assert stated == pytest.approx(kl_by_sum(np.exp(log_r + log_dr), np.exp(log_r)), rel=1e-9)


def test_the_soft_limits_open_a_gap_between_the_kl_and_the_sampled_rates():
    """At low rates the gap is nothing, at rate 20 it is a tenth: the published loss is a bound only up to that."""
    for log_r, log_dr, gap in ((-5.0, 1.0, 2e-3), (0.0, 3.0, 0.16)):
        q, p = posterior([log_r], [log_dr]), posterior([log_r], [0.0])
        sampled = kl_by_sum(float(q.rate), float(p.rate))
        assert 0 < 1 - sampled / float(q.kl(stream(0))) < gap
    assert 1 - kl_by_sum(float(q.rate), float(p.rate)) / float(q.kl(stream(0))) > 0.1


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


def test_truncation_is_an_option_of_the_family(make_run):
    run = make_run(family_options__truncate=False)
    assert run.run.id != make_run().run.id
    family = Poisson(run.assembly, PoissonOptions(truncate=False))
    assert family.cap.n_exp_for(torch.ones(1), 1.0) == UNLIMITED


def test_neutral_options_are_those_of_runs_without_them(make_run):
    options = {"relaxation": "sigmoid", "tail": 1e-5, "n_exp_from": "epoch"}
    assert make_run(**{f"family_options__{name}": value for name, value in options.items()}).run.id == make_run().run.id


@pytest.mark.parametrize("name", ["linear", "cubic", "quintic", "cosine", "gumbel_softmax"])
def test_samples_are_relaxed_as_the_option_says(make_run, name):
    run = make_run(family_options__relaxation=name)
    assert run.run.id != make_run().run.id
    family = Poisson(run.assembly, PoissonOptions(relaxation=name))
    code = family.posterior(torch.full((50, family.features), 3.0))
    relaxed, hard = code.relaxed_and_hard(0.5, stream(3))
    n_exp = family.cap.n_exp_for(code.rate, 0.5)
    expected = relaxed_and_hard_poisson(code.rate, 0.5, n_exp, stream(3), name)
    assert torch.equal(relaxed, expected[0])
    assert torch.equal(hard, expected[1])
    assert torch.equal(code.rsample(0.5, stream(4)), relaxed_poisson(code.rate, 0.5, n_exp, stream(4), name))


def test_the_number_of_arrivals_follows_the_options(make_run):
    rates = torch.tensor([100.0])
    few, batch = (Poisson(make_run().assembly, PoissonOptions(**more)).cap for more in ({"tail": 1e-3}, {"n_exp_from": "batch"}))
    for cap in (few, batch):
        cap.observe(torch.ones(1))
    assert few.n_exp_for(rates, 1.0) == 5  # of the rate 1
    assert batch.n_exp_for(rates, 1.0) == arrivals_needed(100.0)


def test_a_gumbel_softmax_over_all_counts_is_refused(make_run):
    assert "truncate" in Poisson.inapplicable(make_run().assembly, PoissonOptions(relaxation="gumbel_softmax", truncate=False))
    assert Poisson.inapplicable(make_run().assembly, PoissonOptions(relaxation="gumbel_softmax")) is None


@pytest.mark.slow
def test_a_whole_run_reaches_the_nelbo_of_the_naive_sampler(make_run, registry, monkeypatch):
    """Paired over five seeds: the mean difference of validation NELBOs lies within its 99.9 % Student t interval around 0."""
    from latentbench.evaluation.trained import Trained
    from latentbench.files import cache_folder
    from latentbench.models.model import build_model
    from latentbench.suites.resolve import assemble
    from latentbench.training.state import new_state
    from latentbench.training.train import train

    def nelbo(seed):
        run = make_run(seed=seed, latent_dim=32, training__steps=800, training__learning_rate=0.005).run
        assembly = assemble(run, registry)
        splits = assembly.dataset.load(cache_folder())
        model = build_model(assembly, seed, "cpu", torch.float32)
        for _ in train(new_state(model, run.train_settings, seed), splits.train, run):
            pass
        return float(Trained(model.eval(), splits, seed).codes("validation").costs["nelbo"].mean())

    ours = np.array([nelbo(seed) for seed in range(5)])

    def published(rate, temperature, n_exp, generator, relaxation):
        with forked(int(torch.randint(2**31, (), generator=generator))):
            times = torch.cumsum(Exponential(rate).rsample((n_exp,)), dim=0)
            return torch.sigmoid((1 - times) / temperature).sum(0)

    monkeypatch.setattr("latentbench_poisson.relaxed_poisson", published)
    theirs = np.array([nelbo(seed) for seed in range(5)])
    assert not np.array_equal(ours, theirs)
    assert stats.ttest_rel(ours, theirs).pvalue > 1e-3
    assert abs(ours.mean() - theirs.mean()) < 0.05 * theirs.mean()
