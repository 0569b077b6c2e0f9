"""Numbers that runs might have had.

A value has an effect of each setting, one of the seed that all models of a data set share, so that pairing by seed means something, and noise of its
own. KLs of units sum to the KL that is stored, and units that are active are counted.
"""

from __future__ import annotations

import json
import zlib
from functools import cache

import numpy as np

from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.settings import Run

SIZES = {
    "reconstruction": 110.0, "kl": 45.0, "sse_at_mean": 100.0, "sse_at_location": 99.0, "squared_error": 60.0, "penalty": 20.0, "lca_sse": 60.0,
    "lasso_sse": 59.0, "encoder_sse": 100.0, "spikes_per_image": 30.0, "fano_factor": 1.4, "orientation_bandwidth": 25.0, "frequency_spread": 1.1,
    "position_spread": 4.0, "relaxed_mean": 1.0, "prior_energy": 90.0, "reconstructions_sse": 110.0, "linear_probe_iterations": 100.0,
    "dictionary_norm": 4.0, "shattering_gradient": 1e-4, "kkt_residual": 1e-3, "frequency": 0.2, "n_x": 0.4, "n_y": 0.5,
}  # fmt: skip
"""About what metrics are; 1 for others."""
SHARES = {
    "r2": 0.6, "lifetime_sparsity": 0.75, "lifetime_sparsity_prior": 0.9, "lifetime_sparsity_active": 0.7, "population_sparsity": 0.8,
    "population_sparsity_prior": 0.85, "population_sparsity_active": 0.75, "zero_fraction": 0.85, "zero_fraction_prior": 0.9,
    "zero_fraction_active": 0.8, "knn_accuracy": 0.85, "shattering_accuracy": 0.85, "linear_probe_accuracy": 0.93, "gabor_fraction": 0.5,
    "gabor_r2": 0.7, "orientation_spread": 0.9, "lca_lifetime_sparsity": 0.85, "lasso_lifetime_sparsity": 0.86,
    "encoder_lifetime_sparsity": 0.75, "alive": 0.5,
}  # fmt: skip
"""About what metrics are that stay between 0 and 1."""
OF_DATA = {"mnist": 0.3, "digits": 0.05}
"""What costs and squared errors of a data set are multiplied by."""
ADDITIVE = ("family", "estimator", "encoder", "decoder", "latent_dim")
NESTED = ("family_options", "estimator_options", "training")


class Numbers:
    """Draws from streams that `seed`, a run and a name decide."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.effect = cache(self._effect)

    def value(self, run: Run, name: str) -> float:
        """A metric of a run."""
        if name == "nelbo":
            return self.value(run, "reconstruction") + self.value(run, "kl")
        if name == "sparse_coding_cost":
            return 0.5 * self.value(run, "squared_error") + self.value(run, "penalty")
        shift = self._shift(run, name)
        if name in SHARES:
            return float(1 / (1 + (1 / SHARES[name] - 1) * np.exp(-shift)))
        centre = SIZES.get(name, 1.0)
        return float(centre * (OF_DATA.get(run.dataset, 1.0) if centre > 10 else 1.0) * np.exp(0.3 * shift))

    def kl(self, run: Run) -> np.ndarray:
        """Mean KL of each latent (of each group of one-hots): some encode and some do not."""
        groups = int(run.family_options.get("groups", 1)) if run.family == "categorical" else run.latent_dim
        rng = self.rng(run, "kl of units")
        alive = rng.random(groups) < self.value(run, "alive")
        alive[0] = True
        values = np.exp(np.where(alive, rng.normal(0, 0.4, groups), rng.normal(-7, 0.5, groups)))
        return np.asarray(values * self.value(run, "kl") / values.sum())

    def units(self, run: Run, evaluation: EvaluationPlan) -> dict[str, np.ndarray]:
        """Numbers per latent that an evaluation stores."""
        name, k = evaluation.name, run.latent_dim
        rng = self.rng(run, "units", name)
        if name == "elbo" and run.estimator is not None:
            return {"kl": self.kl(run)}
        if name == "active_units":
            return {"active": (self.kl(run) > threshold(run, evaluation)).astype(float)}
        if name in ("sparsity", "gabor_fit"):
            metric = {"sparsity": "lifetime_sparsity", "gabor_fit": "gabor_r2"}[name]
            mean = self.value(run, metric)
            return {metric: rng.beta(20 * mean, 20 * (1 - mean), k)}
        if name == "dictionary":
            return {"dictionary_norm": rng.gamma(10, self.value(run, "dictionary_norm") / 10, k)}
        return {"spike_count": rng.gamma(0.5, self.value(run, "spikes_per_image") / k / 0.5, k)} if name == "spike_counts" else {}

    def rng(self, run: Run, *words: str) -> np.random.Generator:
        """A stream of a run."""
        return np.random.default_rng([self.seed, int(run.id, 16), zlib.crc32(" ".join(words).encode())])

    def _shift(self, run: Run, name: str) -> float:
        """About normal over settings; of what is left three quarters are the seed's, which all models of a data set share, and a quarter is noise."""
        shift = sum(0.3 * self.effect(name, key, str(getattr(run, key))) for key in ADDITIVE)
        shift += sum(0.05 * self.effect(name, key, json.dumps(dict(getattr(run, key)), sort_keys=True)) for key in NESTED)
        shift += 0.2 * self.effect(name, "both", f"{run.family} {run.dataset}")
        if run.beta:
            shift += {"kl": -0.5, "reconstruction": 0.5}.get(name, 0.3) * float(np.log(run.beta))
        shared = self.effect(name, "seed", f"{run.dataset} {run.seed}")
        return float(shift + 0.03 * shared + 0.01 * self.rng(run, "noise", name).normal())

    def _effect(self, *words: str) -> float:
        return float(np.random.default_rng([self.seed, zlib.crc32(" ".join(words).encode())]).normal())


def threshold(run: Run, evaluation: EvaluationPlan) -> float:
    """KL in nats from which a latent is active; the published rules are taken as thresholds of the KL for all families."""
    published = {"paper": 0.01 if run.family == "poisson" else 0.1, "figure4": {"poisson": 0.0082, "gaussian": 0.09}.get(run.family, 0.08)}
    return float(published.get(str(evaluation.options.get("rule")), evaluation.options.get("threshold", 0.01)))
