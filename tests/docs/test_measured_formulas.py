"""Formulas of docs/mathematics on solvers, evaluations, derived metrics, statistics and schedules, typed here, against what the code returns."""

import math

import numpy as np
import pytest
import torch
from latentbench_derived.curves import crossing, isotonic
from latentbench_derived.resampling import Resampling
from latentbench_evaluations.gabor import GaborFit
from latentbench_evaluations.sparsity import lifetime_sparsity
from scipy import optimize, stats

from latentbench.blocks.lasso import kkt_residual
from latentbench.blocks.lasso_ista import lasso_ista as ista
from latentbench.blocks.lasso_lca import lasso_lca as lca
from latentbench.blocks.logistic import dichotomies, fit_dichotomies
from latentbench.evaluation.outcome import Metric
from latentbench.reporting.power import power_to_differ
from latentbench.reporting.ranking import adjusted
from latentbench.reporting.statistics import half_width, sample_of, t_test, welch
from latentbench.reporting.verdicts import p_beyond, prediction_interval
from latentbench.streams import stream
from latentbench.suites.settings import Training
from latentbench.training.schedules import Schedules

PHI = np.random.default_rng(1).normal(size=(8, 12))
PHI /= np.linalg.norm(PHI, axis=0)
IMAGES, L1 = 2 * np.random.default_rng(2).normal(size=(3, 8)), 0.3
BOTH_SIGNS = pytest.mark.parametrize("non_negative", [True, False])


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def threshold(u, l1, non_negative):
    return np.maximum(u - l1, 0) if non_negative else np.sign(u) * np.maximum(np.abs(u) - l1, 0)


def energy(z):
    return 0.5 * ((IMAGES - z @ PHI.T) ** 2).sum(1) + L1 * np.abs(z).sum(1)


def solved(solver, **how):
    return solver(torch.from_numpy(IMAGES), torch.from_numpy(PHI), L1, **how).numpy()


@BOTH_SIGNS
def test_lca(non_negative):
    u, tau = np.zeros((3, 12)), 20.0
    for _ in range(39):
        u = (1 - 1 / tau) * u + (IMAGES @ PHI - threshold(u, L1, non_negative) @ (PHI.T @ PHI - np.eye(12))) / tau
    assert solved(lca, iterations=40, tau=tau, non_negative=non_negative) == pytest.approx(threshold(u, L1, non_negative))


@BOTH_SIGNS
def test_ista(non_negative):
    z, largest = np.zeros((3, 12)), np.linalg.eigvalsh(PHI.T @ PHI)[-1]
    for _ in range(40):
        z = threshold(z + (IMAGES - z @ PHI.T) @ PHI / largest, L1 / largest, non_negative)
    assert solved(ista, iterations=40, accelerated=False, non_negative=non_negative) == pytest.approx(z)


@BOTH_SIGNS
@pytest.mark.parametrize("restart", [True, False])
def test_fista(non_negative, restart):
    largest = np.linalg.eigvalsh(PHI.T @ PHI)[-1]
    y = z = np.zeros((3, 12))
    t = np.ones((3, 1))
    restarts = 0
    for _ in range(60):
        new = threshold(y + (IMAGES - y @ PHI.T) @ PHI / largest, L1 / largest, non_negative)
        uphill = ((y - new) * (new - z)).sum(1, keepdims=True) > 0
        t = np.where(uphill, 1.0, t) if restart else t
        restarts += int(uphill.sum())
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        y, z, t = new + (t - 1) / following * (new - z), new, following
    assert restarts > 0
    assert solved(ista, iterations=60, restart=restart, non_negative=non_negative) == pytest.approx(z)


@pytest.mark.parametrize("n", [1, 5, 30])
def test_bounds_of_ista_and_fista(n):
    best = solved(ista, iterations=5000, tolerance=1e-12)
    square, largest = (best**2).sum(1), np.linalg.eigvalsh(PHI.T @ PHI)[-1]
    plain, fast = (energy(solved(ista, iterations=n, accelerated=accelerated, restart=False)) - energy(best) for accelerated in (False, True))
    assert (plain <= largest * square / (2 * n)).all()
    assert (fast <= 2 * largest * square / (n + 1) ** 2).all()


@BOTH_SIGNS
def test_the_residual_of_the_conditions_for_an_optimum(non_negative, rng):
    z = threshold(rng.normal(size=(3, 12)), 0.5, False)
    rho = (IMAGES - z @ PHI.T) @ PHI
    silent = np.maximum((rho if non_negative else np.abs(rho)) - L1, 0)
    active = np.maximum(np.abs(rho - L1 * np.sign(z)), -z if non_negative else 0)
    found = kkt_residual(torch.from_numpy(z), torch.from_numpy(rho), L1, non_negative).numpy()
    assert found == pytest.approx(np.where(z == 0, silent, active).max(1))


def test_logistic_regression_minimises_its_objective(rng):
    features = rng.normal(size=(60, 3)) + 1
    labels = rng.integers(0, 2, 60)
    y = np.where(labels == 0, 1.0, -1.0)  # the first class is the positive one

    def f(w):
        return np.log1p(np.exp(-y * (features @ w[:3] + w[3]))).mean() + w[:3] @ w[:3] / (2 * 60)

    best = optimize.minimize(f, np.zeros(4), tol=1e-12)
    fit = fit_dichotomies(torch.from_numpy(features), torch.from_numpy(labels), torch.tensor([[True, False]]), tol=1e-10)
    assert [*fit.weights[0].tolist(), float(fit.intercepts)] == pytest.approx(best.x, abs=1e-4)


@pytest.mark.parametrize("classes", [2, 5, 8, 10])
def test_the_number_of_dichotomies(classes):
    half = math.comb(classes, classes // 2)
    assert len(dichotomies(classes, stream(0))) == (half // 2 if classes % 2 == 0 else half)


@pytest.mark.parametrize(
    ("sparsity", "draw"),
    [
        (1 - 2 / math.pi, lambda rng, n: rng.normal(size=n)),
        (0.5, lambda rng, n: rng.laplace(size=n)),
        (1 - 1 / math.pi, lambda rng, n: np.maximum(rng.normal(size=n), 0)),
        (1 - 1 / math.e, lambda rng, n: np.exp(rng.normal(size=n))),
        (1 / (1 + 0.4), lambda rng, n: rng.poisson(0.4, size=n).astype(float)),
        (1 - 1 / 8, lambda rng, n: (rng.integers(0, 8, size=n) == 0).astype(float)),
    ],
)
def test_the_sparsity_of_units_that_ignore_their_input(sparsity, draw, rng):
    """Of 40 units with 50,000 images each; the mean is within five of its standard errors, and of its bias of about 1e-3."""
    found = lifetime_sparsity(torch.from_numpy(draw(rng, (50_000, 40))))
    assert float(found.mean()) == pytest.approx(sparsity, abs=5 * float(found.std()) / 40**0.5 + 1e-3)


def test_lifetime_sparsity_and_standard_errors(rng):
    z = rng.normal(size=(7, 3))
    stated = (1 - np.abs(z).sum(0) ** 2 / (7 * (z**2).sum(0))) / (1 - 1 / 7)
    assert lifetime_sparsity(torch.from_numpy(z)).numpy() == pytest.approx(stated)
    metric = Metric.mean("x", torch.from_numpy(z[:, 0]))
    assert (metric.value, metric.standard_error) == (pytest.approx(z[:, 0].mean()), pytest.approx(stats.sem(z[:, 0])))


def test_the_orientation_bandwidth_is_that_at_half_height():
    fit = GaborFit(0, 0, 0, 2.5, 4.0, 0.2, 1, 0, 1)
    a = math.radians(fit.orientation_bandwidth)
    height = math.exp(-2 * math.pi**2 * (fit.n_x**2 * (1 - math.cos(a)) ** 2 + fit.n_y**2 * math.sin(a) ** 2))
    assert (fit.n_x, fit.n_y, height) == (pytest.approx(0.5), pytest.approx(0.8), pytest.approx(0.5))


def test_weights_of_seeds_give_the_spread_of_student_s_interval():
    """4,000 replicates know a standard deviation to 1.1 %; this is within five times that."""
    values = np.array([1.0, 1.4, 0.7, 2.2, 1.1])
    weights = Resampling(0.99).seeds([1, 2, 3, 4, 5])
    assert weights.sum(1) == pytest.approx(1)
    spread = stats.t.ppf(0.995, 4) / stats.norm.ppf(0.995) * values.std(ddof=1) / 5**0.5
    assert (weights[1:] @ values).std() == pytest.approx(spread, rel=0.056)


def test_isotonic_curves_and_where_they_cross():
    a = np.array([0.4, 0.7, 0.6, 0.9])
    stated = [max(min(a[j : k + 1].mean() for k in range(i, 4)) for j in range(i + 1)) for i in range(4)]
    assert isotonic(a[None])[0] == pytest.approx(stated)
    sizes, target = np.array([100.0, 200.0, 1000.0, 5000.0]), np.array([0.8])
    found = crossing(isotonic(a[None]), sizes[None], target, log=True)
    assert float(found.low[0]) == pytest.approx(1000 * 5 ** ((0.8 - 0.65) / (0.9 - 0.65)))


def test_intervals_and_the_paper_s_bars():
    values = [1.0, 1.4, 0.7, 2.2, 1.1]
    student = stats.t.ppf(0.995, 4) * np.std(values, ddof=1) / 5**0.5
    assert half_width(values) == pytest.approx(student)
    assert half_width(values, kind="paper") == pytest.approx(4.604 * np.std(values) / 5**0.5, rel=1e-4)
    assert half_width(values, kind="paper") / student == pytest.approx(0.894, abs=5e-4)


ONE, OTHER = [1.0, 1.4, 0.7, 2.2, 1.1], [2.0, 2.6, 3.9]


def test_welch_s_test():
    u = [np.var(side, ddof=1) / len(side) for side in (ONE, OTHER)]
    freedom = sum(u) ** 2 / (u[0] ** 2 / 4 + u[1] ** 2 / 2)
    found = welch(ONE, OTHER)
    assert (found.freedom, found.standard_error) == (pytest.approx(freedom), pytest.approx(math.sqrt(sum(u))))
    assert found.p == pytest.approx(stats.ttest_ind(ONE, OTHER, equal_var=False).pvalue)


def test_holm_and_benjamini_hochberg():
    p = [0.001, 0.02, 0.03, 0.2]
    holm = [max(min(1, (4 - j) * p[j]) for j in range(i + 1)) for i in range(4)]
    bh = [min(min(1, 4 / (j + 1) * p[j]) for j in range(i, 4)) for i in range(4)]
    assert (adjusted(p), adjusted(p, "bh")) == (pytest.approx(holm), pytest.approx(bh))


def test_power_is_that_of_noncentral_t():
    difference = welch(ONE, OTHER)
    critical, shift = stats.t.ppf(0.995, difference.freedom), abs(difference.mean) / difference.standard_error
    stated = stats.nct.sf(critical, difference.freedom, shift) + stats.nct.cdf(-critical, difference.freedom, shift)
    assert power_to_differ(difference.mean, difference.samples, 0.01) == pytest.approx(stated, abs=1e-4)


def test_verdicts():
    one, other = sample_of(ONE), sample_of(OTHER)
    found = t_test(one.mean - other.mean, (one, other))
    t = stats.t(found.freedom)
    stated = t.sf((abs(found.mean) - 0.3) / found.standard_error) + t.sf((abs(found.mean) + 0.3) / found.standard_error)
    assert p_beyond(found, 0.3) == pytest.approx(stated)
    assert prediction_interval(one) == pytest.approx(stats.t.ppf(0.995, 4) * np.std(ONE, ddof=1) * (1 + 1 / 5) ** 0.5)


def test_schedules():
    about = {"beta_hold": 0.1, "temperature_start": 1.0, "temperature_stop": 0.05, "restarts": 1, "learning_rate": 0.01, "warmup": 0.02}
    linear, exponential = (Schedules(Training(steps=1000, temperature_anneal=form, **about), 2.0, 1000, 100) for form in ("linear", "exponential"))
    assert [linear.kl_weight(step) for step in (99, 300, 600)] == pytest.approx([1e-4, 1e-4 + (2 - 1e-4) * 200 / 499, 2.0])
    assert [linear.temperature(step) for step in (200, 500)] == pytest.approx([1 - 0.95 * 200 / 499, 0.05])
    assert exponential.temperature(200) == pytest.approx(0.05 + 0.95 * math.exp(200 / 499 * math.log(0.05 / 100)))
    cosine = 1e-5 + 0.5 * (0.01 - 1e-5) * (1 + math.cos(math.pi * 3 * (400 - 20) / 980))
    assert [linear.learning_rate(step) for step in (10, 400)] == pytest.approx([0.005, cosine])
