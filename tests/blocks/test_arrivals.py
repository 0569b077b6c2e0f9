"""n_exp: the inverse cdf, and running statistics of the rates."""

import pytest
import torch
from scipy import stats

from latentbench.blocks.arrivals import ArrivalCap, arrivals_needed
from latentbench.blocks.relaxed_poisson import UNLIMITED


@pytest.mark.parametrize("rate", [1e-7, 0.01, 0.3, 1.0, 3.0, 20.0, 200.0, 250.0])
def test_n_exp_is_the_inverse_cdf(rate):
    assert arrivals_needed(rate) == max(1, int(stats.poisson.ppf(1 - 1e-5, rate)))


def test_n_exp_of_the_authors_first_epoch():
    assert arrivals_needed(200.0) == 263


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


def test_without_truncation_all_arrivals_are_drawn_on_the_cpu():
    assert ArrivalCap(truncate=False).n_exp_for(torch.ones(1), 1.0) == UNLIMITED
    assert ArrivalCap().n_exp_for(torch.ones(1), 1.0) == arrivals_needed(1.0)


@pytest.mark.parametrize(("rate", "n"), [(1.0, 5), (3.0, 10), (20.0, 35), (100.0, 132)])
def test_n_exp_at_the_follow_up_s_tail(rate, n):
    """At 1e-3, its defaults; tiny rates get an arrival where its experiments have none."""
    assert arrivals_needed(rate, 1e-3) == n
    assert arrivals_needed(1e-7, 1e-3) == 1
    assert ArrivalCap(tail=1e-3).n_exp_for(torch.tensor([rate]), 1.0) == n


def test_n_exp_of_each_batch():
    cap = ArrivalCap(per_batch=True)
    cap.observe(torch.tensor([[5.0, 1.0]]))
    for rate in (0.3, 40.0):
        assert cap.n_exp_for(torch.tensor([0.1, rate]), 1.0) == arrivals_needed(rate)


def test_a_gumbel_softmax_has_two_counts_at_least_and_never_all():
    cap = ArrivalCap(truncate=False, relaxation="gumbel_softmax")
    assert cap.n_exp_for(torch.tensor([1e-7]), 1.0) == 2
    assert cap.n_exp_for(torch.tensor([5.0]), 1.0) == arrivals_needed(5.0)


def test_without_truncation_other_devices_draw_what_the_end_of_a_ramp_needs():
    """For the rate 2 r (1 + T), where a sigmoid needs 2 r (1 + 20 T)."""
    rate = torch.ones(1, device="meta")
    caps = [ArrivalCap(truncate=False, relaxation=name) for name in ("cubic", "sigmoid")]
    for cap in caps:
        cap.observe(torch.ones(1))
    cubic, sigmoid = (cap.n_exp_for(rate, 0.5) for cap in caps)
    assert cubic == arrivals_needed(2 * 1.5)
    assert sigmoid > 2 * cubic
