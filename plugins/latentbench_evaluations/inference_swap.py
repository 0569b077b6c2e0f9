"""`inference_swap`: sparse inference on the dictionary of a trained model (Poisson VAE, Fig. 5b), where the paper speaks of the amortisation gap."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import (
    Assembly,
    Evaluation,
    EvaluationOptions,
    Measure,
    Metric,
    Options,
    Outcome,
    Trained,
    dictionary_of,
    lasso_lca,
    solve_lasso,
)
from latentbench_evaluations.sparsity import lifetime_sparsity


class InferenceSwapOptions(EvaluationOptions):
    """Options of `inference_swap`."""

    l1_weights: list[Annotated[float, Field(gt=0)]] = Field(
        default=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 0.7, 1.0], min_length=1, description="Values of lambda."
    )
    images: int | None = Field(2000, gt=0, description="Images of the split, evenly spaced; null takes all.")
    lca_iterations: int = Field(900, gt=0, description="Iterations of LCA.")
    tau: float = Field(100.0, ge=1, description="LCA's time constant, in iterations.")
    tolerance: float = Field(1e-5, gt=0, description="Duality gap that exact codes are inferred to, relative to 1/2 |x|^2.")
    non_negative: bool = Field(True, description="Whether codes are kept from being negative.")


class InferenceSwap(Evaluation):
    """Codes inferred by LCA and exactly on the model's dictionary, columns scaled to unit norm, over a range of lambda, beside the model's own.

    `lca_sse`, `lca_lifetime_sparsity`, `lasso_sse` and `lasso_lifetime_sparsity` are indexed by `l1_weight`; `encoder_sse` (decoding the mean) and
    `encoder_lifetime_sparsity` (of one true sample) are the model's on the same images. Squared errors are summed over pixels. One image alone has
    no lifetime sparsity. `lasso_duality_gap` certifies the exact codes: by how much, at most, their objective exceeds its minimum; `lasso_missed` is
    the share of images whose gap is above the tolerance.
    """

    name = "inference_swap"
    version = "3"
    options_model = InferenceSwapOptions
    metrics = {
        f"{solver}_{name}": Measure(None, unit, f"{meaning} of codes by {solver}.", None if solver == "encoder" else "l1_weight")
        for solver in ("encoder", "lca", "lasso")
        for name, unit, meaning in (
            ("sse", "squared pixel values", "Squared error, summed over pixels,"),
            ("lifetime_sparsity", "0 to 1", "Lifetime sparsity"),
        )
    } | {
        "lasso_duality_gap": Measure("lower", "nats", "Duality gap of the exact codes, a bound on their distance to the minimum.", "l1_weight"),
        "lasso_missed": Measure("lower", "0 to 1", "Share of images whose exact codes have a duality gap above the tolerance.", "l1_weight"),
    }

    def __init__(self, options: InferenceSwapOptions) -> None:
        self.options = options

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A dictionary and a squared error are needed."""
        if not assembly.quadratic:
            return f"it compares squared errors, and the likelihood '{assembly.likelihood.name}' has none"
        return None if assembly.linear_decoder else f"it needs a linear decoder, and '{assembly.decoder.name}' is not"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        split = self.options.split
        images, codes = trained.splits[split].images, trained.codes(split)
        chosen = self._chosen(len(images))
        decoded = trained.decode(codes.mean[chosen])
        images = images[chosen]
        metrics = _measured("encoder", (images.cpu() - decoded).square().flatten(1).sum(1), codes.sample[chosen], split)
        dictionary, bias = (part.detach() for part in dictionary_of(trained.model.decoder))
        dictionary = dictionary / torch.linalg.vector_norm(dictionary, dim=0).clamp(min=torch.finfo(dictionary.dtype).tiny)
        flat = images.to(dictionary.device, dictionary.dtype).flatten(1) - bias
        allowed = self.options.tolerance * 0.5 * flat.double().square().sum(1)
        for l1 in self.options.l1_weights:
            exact = solve_lasso(flat, dictionary, l1, tolerance=self.options.tolerance, non_negative=self.options.non_negative)
            certificates = {"lasso_duality_gap": exact.gap, "lasso_missed": (exact.gap > allowed).double()}
            metrics += [Metric.mean(name, values.cpu(), split).at("l1_weight", l1) for name, values in certificates.items()]
            for solver, z in (("lca", self._lca(flat, dictionary, l1)), ("lasso", exact.codes)):
                sse = (flat - z @ dictionary.T).square().sum(1).cpu()
                metrics += [metric.at("l1_weight", l1) for metric in _measured(solver, sse, z.cpu(), split)]
        return Outcome(metrics)

    def _chosen(self, n: int) -> Tensor:
        wanted = min(self.options.images or n, n)
        return torch.linspace(0, n - 1, wanted, dtype=torch.float64).round().long()

    def _lca(self, flat: Tensor, dictionary: Tensor, l1: float) -> Tensor:
        o = self.options
        return lasso_lca(flat, dictionary, l1, iterations=o.lca_iterations, tau=o.tau, non_negative=o.non_negative)


def _measured(solver: str, sse: Tensor, z: Tensor, split: str) -> list[Metric]:
    """Mean squared error, and lifetime sparsity where there is more than one image."""
    metrics = [Metric.mean(f"{solver}_sse", sse, split)]
    return metrics if len(z) == 1 else [*metrics, Metric.mean(f"{solver}_lifetime_sparsity", lifetime_sparsity(z), split)]
