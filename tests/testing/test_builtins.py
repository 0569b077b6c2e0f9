"""Every built-in part keeps the laws of its kind; and repeated over seeds, the checks that involve chance reject as rarely as they say."""

import time

import numpy as np
import pytest
from scipy import stats

from latentbench.engine import Engine
from latentbench.registry import load_registry
from latentbench.testing.examine import examine, trials_of
from latentbench.testing.kinds import LAWS, laws_of
from latentbench.testing.law import Effort

PARTS = [
    pytest.param(part, id=f"{kind}-{name}")
    for kind, parts in load_registry().parts.items()
    for name, part in parts.items()
    if not name.startswith("test_") and any(issubclass(part, laws.base) for laws in LAWS)
]
QUICK = Effort(samples=5000)
LENGTHY = {"distribution", "extremes", "gradients", "kl", "normalised", "optimum", "pathwise", "relaxation", "training"}
"""Checks that take seconds; the quick suite leaves them to the slow one."""
SMALL = [part for part in PARTS if part.id.partition("-")[0] in ("families", "estimators", "networks", "likelihoods")]
"""Parts that need neither data nor processes."""


@pytest.mark.parametrize("part", SMALL)
def test_a_built_in_part_passes_the_quick_checks_at_its_defaults(part):
    only = [name for name in laws_of(part).names if name not in LENGTHY]
    report = examine(part, part.options_model(), QUICK, only)
    assert "failed" not in report.counts, report.text()


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_built_in_part_passes_every_check_with_every_choice_of_options(part, capsys):
    if issubclass(part, Engine) and part.detached:
        pytest.skip(
            "its runs outlive the process that calls `run`, and on a cluster the kit takes longer than ten minutes: tests/plugins has its tests"
        )
    report = examine(part)
    with capsys.disabled():
        print("\n" + [*report.end()][-1], flush=True)
    assert report.ok, report.text()


CALIBRATED = ["poisson", "gaussian", "categorical"]
EXACT = ["distribution"]
OTHERS = ["mean", "variance", "decoded_variance", "score", "kl", "pathwise", "relaxation"]
SEEDS = range(1, 51)
MISSED = 1e-6


def p_values(registry, name, check):
    """The p-values [seeds, comparisons] of a check."""
    part = registry.family(name)
    found = [[trial.p for trial in trials_of(part, check, part.options_model(), Effort(2000, seed=seed)) if trial.p is not None] for seed in SEEDS]
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("check", EXACT)
def test_exact_p_values_are_uniform(registry, check, name):
    """Comparisons of one seed may depend on one another, so each is tested over the seeds, which do not; they share the level."""
    p = p_values(registry, name, check)
    assert p.shape[1] > 0
    assert all(stats.kstest(column, "uniform").pvalue > MISSED / p.shape[1] for column in p.T)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALIBRATED)
@pytest.mark.parametrize("check", OTHERS)
def test_other_p_values_are_below_a_twentieth_no_more_often_than_stated(registry, check, name):
    """Seed by seed a Bonferroni test of all comparisons at level .05 rejects as a binomial count; so does each comparison over the seeds."""
    start = time.perf_counter()
    p = p_values(registry, name, check)
    if not p.size:
        pytest.skip("it compares without chance")
    rejected = int((p.min(1) < 0.05 / p.shape[1]).sum())
    each = (p < 0.05).sum(0)
    assert rejected <= stats.binom.isf(MISSED / 2, len(p), 0.05)
    assert each.max() <= stats.binom.isf(MISSED / 2 / p.shape[1], len(p), 0.05), f"{each} in {time.perf_counter() - start:.0f} s"
