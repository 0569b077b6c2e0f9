"""A suite to tune, and its models."""

from dataclasses import replace

import pytest

from latentbench.suites.expand import NO_CHANGES
from latentbench.suites.suite import load_suite
from latentbench.tuning.models import models_of

SUITE = """\
name: small
seeds: [1, 2]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 3, batch_size: 50}}
sweeps:
  - {family: [poisson, gaussian], estimator: [mc, exact], dataset: digits}
  - {family: [poisson, lasso], estimator: mc, dataset: photo_patches, training: {schedule: constant}}
leaderboard: {metric: nelbo, rows: [family]}
tune:
  evaluations: [elbo]
  models: [family, estimator]
  trials: 3
  space:
    training.learning_rate: {low: 0.001, high: 0.01, log: true}
"""


@pytest.fixture
def models(suite_file, registry):
    """The models of a suite, changed by pairs of texts and by changes of the command line."""

    def made(*replaced, changes=NO_CHANGES, space=None):
        text = SUITE
        for old, new in replaced:
            assert old in text, old
            text = text.replace(old, new)
        if space is not None:
            text = text.partition("  space:")[0] + "  space: " + space + "\n"
        suite = load_suite(suite_file(text))
        return models_of(suite, suite.tune, registry, "cpu", replace(changes, seeds=(101,)))

    return made
