"""What the published numbers mean, stored with them, so that they are read without the plugins that measure the like.

Metrics that latentbench measures too are declared as its evaluations declare them; what the follow-ups measure in another way has another name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from latentbench.suites.settings import digest

OF_COST = {"less_constant": True}
OF_KL = {"of_kl": True}
Metrics = Mapping[str, Mapping[str, Any]]


def metric(better: str | None, unit: str, meaning: str, index: str | None = None, **flags: bool) -> dict[str, Any]:
    """The declaration of a metric, with the fields that `latentbench.measure.Measure` has."""
    return {"better": better, "unit": unit, "meaning": meaning, "index": index, "less_constant": False, "of_kl": False, "estimate": False, **flags}


def _by_lambda(better: str | None, unit: str, meaning: str) -> dict[str, Any]:
    return metric(better, unit, meaning, "l1_weight")


class Evaluation(NamedTuple):
    """How something was measured: an evaluation's name, the options that matter, and its metrics."""

    name: str
    options: Mapping[str, Any]
    metrics: Metrics

    @property
    def id(self) -> str:
        """Another one than those of latentbench's own measurements: theirs is the code of others."""
        return f"{self.name}-{digest({'published': self.name, 'options': dict(self.options)})[:8]}"

    def row(self, run_id: str, measured: Iterable[str]) -> dict[str, Any]:
        """The row in `evaluations` for a run, with the declarations of what was measured."""
        told = {name: self.metrics[name] for name in sorted(measured)}
        key = {"run_id": run_id, "evaluation": self.name, "evaluation_id": self.id, "version": "published"}
        return {**key, "options": json.dumps(dict(self.options), sort_keys=True), "metrics": json.dumps(told, sort_keys=True)}


SSE = "squared pixel values"
EVALUATIONS = (
    Evaluation(
        "elbo",
        {},
        {
            "nelbo": metric("lower", "nats", "Negative evidence lower bound per image, with one sample of the posterior.", **OF_COST, **OF_KL),
            "reconstruction": metric("lower", "nats", "Expected negative log-likelihood of an image, less its constant.", **OF_COST),
            "kl": metric(None, "nats", "Divergence of the posterior from the prior, summed over latents.", **OF_KL),
            "sse_at_mean": metric("lower", SSE, "Squared error of the decoded mean of the code, summed over pixels."),
            "sse_at_location": metric("lower", SSE, "Squared error of the decoded location of the code, summed over pixels."),
        },
    ),
    Evaluation(
        "sparsity",
        {"threshold": 0.01},
        {
            "lifetime_sparsity": metric(None, "0 to 1", "Selectivity of a unit over images."),
            "population_sparsity": metric(None, "0 to 1", "Selectivity of an image over units."),
            "zero_fraction": metric(None, "share of samples", "Samples that are exactly 0."),
        },
    ),
    Evaluation(
        "active_units",
        {"rule": "paper", "threshold": 0.01},
        {"active_fraction": metric("higher", "share of latents", "Latents that are active.", **OF_KL)},
    ),
    Evaluation(
        "active_units",
        {"rule": "figure4", "threshold": 0.01},
        {"dead_units": metric("lower", "latents", "Latents that are not active.", **OF_KL)},
    ),
    Evaluation(
        "knn",
        {"readout": "native"},
        {"knn_accuracy": metric("higher", "share of images", "Accuracy of nearest neighbours from few labels.", "sample_size")},
    ),
    Evaluation(
        "shattering",
        {"readout": "native"},
        {"shattering_accuracy": metric("higher", "share of images", "Mean accuracy over all ways to divide the classes into halves.")},
    ),
    Evaluation(
        "linear_probe",
        {"readout": "mean"},
        {"linear_probe_accuracy": metric("higher", "share of images", "Accuracy of a multinomial logistic regression.")},
    ),
    Evaluation(
        "inference_swap",
        {"images": None},
        {
            "lca_sse": _by_lambda(None, SSE, "Squared error, summed over pixels, of codes by lca."),
            "lca_lifetime_sparsity": _by_lambda(None, "0 to 1", "Lifetime sparsity of codes by lca."),
        },
    ),
    Evaluation("sweep", {}, {"authors_grade": metric("higher", "0 to 2", "How the authors graded a fit: bad, good or best.")}),
    Evaluation(
        "percent_drop",
        {},
        {"percent_drop": metric("lower", "%", "NELBO above that of the best seed of all methods, in percent of it.", **OF_KL)},
    ),
    Evaluation(
        "inference_dynamics",
        {},
        {
            "r2_per_image": metric("higher", "share of variance", "Variance of an image's pixels about their mean that a decoded sample explains."),
            "r2_per_image_of_mean": metric("higher", "share of variance", "The same of the decoded mean of the code."),
            "distance_to_corner": metric("lower", "none", "sqrt((1 - R2)^2 + (1 - share of zeros)^2)."),
            "distance_to_corner_of_mean": metric("lower", "none", "The same with the R2 of the decoded mean."),
            "r2_per_image_at": metric("higher", "share of variance", "The R2 of decoded samples after t steps of inference.", "t"),
            "zero_fraction_at": metric(None, "share of samples", "Samples that are exactly 0 after t steps of inference.", "t"),
            "update_norm_at": metric(None, "nats", "Norm of the update of the state in step t of inference.", "t"),
        },
    ),
    Evaluation("iterative_frames", {}, {"sse": metric("lower", SSE, "Squared error of the decoded code, summed over pixels.")}),
    Evaluation(
        "relaxation_moments",
        {},
        {
            "mean_ratio": metric(None, "ratio", "Mean of relaxed counts over the rate.", "rate"),
            "variance_ratio": metric(None, "ratio", "Variance of relaxed counts over the rate.", "rate"),
            "wasserstein": metric("lower", "ratio", "W1 distance from Poisson counts over the root of the rate.", "rate"),
        },
    ),
    Evaluation(
        "count_models",
        {},
        {
            f"count_{name}": metric(better, unit, f"{meaning}, read off a figure.", "x")
            for name, better, unit, meaning in (
                ("elbo", "higher", "nats", "Evidence lower bound"),
                ("mll", "higher", "nats", "Importance-weighted log marginal likelihood"),
                ("cll", "higher", "nats", "Panel 'cll': ln p(x | true z)"),
                ("hll", "higher", "nats", "Panel 'hll': ln q(true z | x)"),
                ("min_dispersion", None, "ratio", "Least dispersion of posterior samples"),
                ("max_dispersion", None, "ratio", "Largest dispersion of posterior samples"),
                ("dispersion_range", None, "ratio", "Range of the dispersion of posterior samples"),
                ("running_time", "lower", "as in the figure", "Running time"),
                ("weights_error", "lower", "absolute", "Mean error of the weights"),
                ("bias_error", "lower", "absolute", "Mean error of the biases"),
            )
        },
    ),
)  # fmt: skip
