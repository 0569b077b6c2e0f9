"""`inference_swap`: sparse inference on the dictionary of a trained model (Poisson VAE, Fig. 5b), where the paper speaks of the amortisation gap."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from latentbench_ista import infer as fista
from latentbench_lca import infer as lca
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import Assembly, Evaluation, Measure, Metric, Options, Outcome, Trained, dictionary_of
from latentbench_evaluations.sparsity import lifetime_sparsity


class InferenceSwapOptions(Options):
    """Options of `inference_swap`."""

    l1_weights: list[float] = Field(default=[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 0.7, 1.0], min_length=1, description="Values of lambda.")
    images: int | None = Field(2000, gt=0, description="Validation images, evenly spaced; null takes all.")
    lca_iterations: int = Field(900, gt=0, description="Iterations of LCA.")
    tau: float = Field(100.0, ge=1, description="LCA's time constant, in iterations.")
    fista_iterations: int = Field(200, gt=0, description="Iterations of FISTA.")
    non_negative: bool = Field(True, description="Whether codes are kept from being negative.")


class InferenceSwap(Evaluation):
    """Codes inferred by LCA and by FISTA on the model's dictionary, columns scaled to unit norm, over a range of lambda, beside the model's own.

    `lca_sse`, `lca_lifetime_sparsity`, `fista_sse` and `fista_lifetime_sparsity` are indexed by `l1_weight`; `encoder_sse` (decoding the mean) and
    `encoder_lifetime_sparsity` (of one true sample) are the model's on the same images. Squared errors are summed over pixels. One image alone has
    no lifetime sparsity.
    """

    name = "inference_swap"
    version = "2"
    options_model = InferenceSwapOptions
    metrics = {
        f"{solver}_{name}": Measure(None, unit, f"{meaning} of codes by {solver}.", None if solver == "encoder" else "l1_weight")
        for solver in ("encoder", "lca", "fista")
        for name, unit, meaning in (
            ("sse", "squared pixel values", "Squared error, summed over pixels,"),
            ("lifetime_sparsity", "0 to 1", "Lifetime sparsity"),
        )
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
        """On the validation split."""
        images, codes = trained.splits["validation"].images, trained.codes("validation")
        chosen = self._chosen(len(images))
        decoded = trained.decode(codes.mean[chosen])
        images = images[chosen]
        metrics = _measured("encoder", (images.cpu() - decoded).square().flatten(1).sum(1), codes.sample[chosen])
        dictionary, bias = (part.detach() for part in dictionary_of(trained.model.decoder))
        dictionary = dictionary / torch.linalg.vector_norm(dictionary, dim=0).clamp(min=torch.finfo(dictionary.dtype).tiny)
        flat = images.to(dictionary.device, dictionary.dtype).flatten(1) - bias
        for l1 in self.options.l1_weights:
            for solver, z in self._inferred(flat, dictionary, l1):
                sse = (flat - z @ dictionary.T).square().sum(1).cpu()
                metrics += [metric.at("l1_weight", l1) for metric in _measured(solver, sse, z.cpu())]
        return Outcome(metrics)

    def _chosen(self, n: int) -> Tensor:
        wanted = min(self.options.images or n, n)
        return torch.linspace(0, n - 1, wanted, dtype=torch.float64).round().long()

    def _inferred(self, flat: Tensor, dictionary: Tensor, l1: float) -> Iterator[tuple[str, Tensor]]:
        o = self.options
        yield "lca", lca(flat, dictionary, l1, iterations=o.lca_iterations, tau=o.tau, non_negative=o.non_negative)
        yield "fista", fista(flat, dictionary, l1, iterations=o.fista_iterations, non_negative=o.non_negative)


def _measured(who: str, sse: Tensor, z: Tensor) -> list[Metric]:
    """Mean squared error, and lifetime sparsity where there is more than one image."""
    metrics = [Metric.mean(f"{who}_sse", sse)]
    return metrics if len(z) == 1 else [*metrics, Metric.mean(f"{who}_lifetime_sparsity", lifetime_sparsity(z))]
