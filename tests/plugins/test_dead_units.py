"""The authors' rules for dead units, on distributions that are plain to see."""

import math
import os

import pytest
import torch
from latentbench_evaluations.dead_units import dead_by_norm, dead_by_rule, dead_in_figures, needs_norms

from latentbench.files import cache_folder


def spread(low, high, n):
    return torch.linspace(low, high, n, dtype=torch.float64)


@pytest.mark.parametrize(
    ("family", "dataset", "linear", "threshold"),
    [
        ("poisson", "mnist", True, 0.01),
        ("poisson", "mnist", False, 0.01),
        ("laplace", "cifar16", True, 0.1),
        ("gaussian", "van_hateren", True, 0.1),
        ("gaussian", "mnist", True, 0.1),
        ("gaussian", "cifar16", True, 0.085),
    ],
)
def test_fixed_thresholds(family, dataset, linear, threshold):
    kl = torch.tensor([0.5 * threshold, 0.99 * threshold, 1.01 * threshold, 5.0])
    assert dead_by_rule(family, dataset, linear, kl, None).tolist() == [True, True, False, False]


def test_a_gap_of_the_fine_histogram_divides_units_of_convolutional_encoders():
    """20 units at ln KL of about -7, 80 from 0 to 1: of the range of 8 the empty part is far over a fifth."""
    kl = torch.cat([spread(-7.0, -6.8, 20), spread(0.0, 1.0, 80)]).exp()
    assert dead_by_rule("gaussian", "cifar16", False, kl, None).tolist() == [True] * 20 + [False] * 80


@pytest.mark.parametrize("planted", [0.0, -0.0, -1e-9, -1e-7, 5e-324, 1e-300, 1e-30, 1e-12, 1e-7])
@pytest.mark.parametrize(("low", "high"), [((-7.0, -6.8), (0.0, 1.0)), ((-4.0, -3.0), (-1.0, 0.5))])
def test_a_unit_without_a_kl_is_dead_and_changes_no_other(planted, low, high):
    """380 dead units and 132 active ones, before and after a unit is planted whose KL is zero up to the rounding of float32."""
    kl = torch.cat([spread(*low, 380), spread(*high, 132)]).exp()
    assert dead_by_rule("gaussian", "cifar16", False, kl, None).tolist() == [True] * 380 + [False] * 132
    for place in (0, 200, 512):
        more = torch.cat([kl[:place], torch.tensor([planted], dtype=torch.float64), kl[place:]])
        dead = dead_by_rule("gaussian", "cifar16", False, more, None)
        assert bool(dead[place])
        assert torch.cat([dead[:place], dead[place + 1 :]]).tolist() == [True] * 380 + [False] * 132


def test_units_without_any_kl_are_all_dead():
    assert dead_by_rule("gaussian", "cifar16", False, torch.zeros(5), None).all()
    assert dead_by_rule("gaussian", "cifar16", False, torch.tensor([0.0, 0.0, 2.0]), None).tolist() == [True, True, False]


@pytest.mark.parametrize("fraction", [2, 8])
def test_an_element_without_a_norm_is_dead_and_changes_no_other(fraction):
    norms = torch.cat([spread(-4.0, -3.9, 10), spread(-0.5, 0.5, 140), spread(3.9, 4.0, 10)]).exp()
    before = dead_by_norm(norms, fraction).tolist()
    assert before == [True] * 10 + [False] * 140 + [True] * 10
    assert dead_by_norm(torch.cat([norms, torch.zeros(3, dtype=torch.float64)]), fraction).tolist() == [*before, True, True, True]
    assert dead_by_norm(torch.zeros(4), fraction).all()


@pytest.mark.skipif(not os.environ.get("LATENTBENCH_DATA"), reason="needs the real data: set LATENTBENCH_DATA")
@pytest.mark.slow
def test_the_published_count_of_the_gaussian_on_cifar_patches_is_that_of_its_threshold(registry):
    """116 active units with each of five seeds, KL 36.29 (`published_seeds.csv`): those of the best encoder and decoder with posterior scales of 1.

    For a component of variance s the mean of the posterior then has the variance a = sqrt(2 s) - 1, and the KL is a / 2: the least of the loss
    s / (1 + a) + a / 2.
    """
    splits = registry.dataset("cifar16")().load(cache_folder())
    x, v = (split.images.flatten(1).double() for split in (splits.train, splits.validation))
    variances, axes = torch.linalg.eigh(x.T @ x / len(x))
    means = ((2 * variances.clamp(min=0)).sqrt() - 1).clamp(min=0)
    kl = means / 2 * (v @ axes).square().mean(0) / variances
    assert float(kl.sum()) == pytest.approx(36.29, abs=0.03)
    assert int((~dead_by_rule("gaussian", "cifar16", True, kl, None)).sum()) == 116
    assert int((kl > 0.1).sum()) == 115


def test_without_a_gap_only_units_below_the_floor_are_dead():
    kl = torch.cat([spread(math.log(1e-4), 0.0, 100)]).exp()
    assert dead_by_rule("laplace", "van_hateren", False, kl, None).tolist() == (kl < 3e-4).tolist()


def test_norms_beyond_the_outer_gaps_are_dead():
    """Rule (b): K = 64, 32 edges from -4 to 4; clusters at both ends, the rest without a gap between -1.5 and 1.5."""
    x = torch.cat([spread(-4.0, -3.9, 5), spread(-1.5, 1.5, 54), spread(3.9, 4.0, 5)])
    assert dead_by_norm(x.exp(), 2).tolist() == [True] * 5 + [False] * 54 + [True] * 5


def test_exactly_one_gap_of_the_coarse_histogram_kills_all_units():
    """As published: units below the first gap's lower end and those above the last gap's upper end."""
    x = torch.cat([spread(0.0, 1.0, 32), spread(1.6, 2.6, 32)])
    assert dead_by_norm(x.exp(), 2).all()


def test_norms_without_any_gap_leave_all_units_alive():
    assert not dead_by_norm(spread(0.0, 1.0, 100).exp(), 8).any()
    assert not dead_by_norm(torch.ones(10), 2).any()


def test_poisson_on_patches_translates_dead_norms_into_kl():
    """Units before the first one, by KL, whose norm is alive are dead, whatever their own norms; so are those below the floor."""
    norms = torch.cat([spread(-4.0, -3.9, 10), spread(-0.5, 0.5, 150)]).exp()
    kl = spread(0.01, 1.0, 160)
    assert dead_by_norm(norms, 8).tolist() == [True] * 160  # one gap
    norms = torch.cat([spread(-4.0, -3.9, 10), spread(-0.5, 0.5, 140), spread(3.9, 4.0, 10)]).exp()
    assert dead_by_rule("poisson", "van_hateren", True, kl, norms).tolist() == [True] * 10 + [False] * 150
    kl[40] = 1e-4
    assert dead_by_rule("poisson", "van_hateren", True, kl, norms).nonzero().flatten().tolist() == [40]


def test_norms_are_needed():
    with pytest.raises(ValueError, match="the authors' rule for 'categorical' needs a linear decoder"):
        dead_by_rule("categorical", "mnist", False, torch.ones(1), None)


@pytest.mark.parametrize(("family", "threshold"), [("poisson", 0.0082), ("gaussian", 0.09), ("laplace", 0.08), ("categorical", 4.435)])
def test_the_figures_thresholds(family, threshold):
    """Of the KL, and for the categorical of norms."""
    values = torch.tensor([0.5, 0.99, 1.01, 50.0]) * threshold
    others = torch.ones(4)
    kl, norms = (others, values) if family == "categorical" else (values, None)
    assert dead_in_figures(family, kl, norms).tolist() == [True, True, False, False]


@pytest.mark.parametrize("family", ["poisson", "gaussian", "laplace", "categorical", "gaussian+relu"])
@pytest.mark.parametrize("dataset", ["mnist", "cifar16"])
@pytest.mark.parametrize("linear", [True, False])
def test_norms_are_needed_where_the_rule_says_so(family, dataset, linear):
    kl = torch.linspace(0.001, 1, 20, dtype=torch.float64)
    if needs_norms(family, dataset, linear):
        with pytest.raises(ValueError, match="needs a linear decoder"):
            dead_by_rule(family, dataset, linear, kl, None)
    else:
        assert dead_by_rule(family, dataset, linear, kl, None).shape == kl.shape
