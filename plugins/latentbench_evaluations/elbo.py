"""`elbo`: what the model costs, and how well it reconstructs."""

from __future__ import annotations

from torch import Generator, Tensor

from latentbench.api import Evaluation, Measure, Metric, Outcome, PerUnit, Trained


class Elbo(Evaluation):
    """Costs of the family with one true sample an image (for amortised families nelbo = reconstruction + kl), and squared errors.

    `sse_at_mean` decodes the posterior mean, `sse_at_location` the location before any activation, as the paper's rate-distortion figures do;
    both are summed over pixels, and compare with E[x | z]. `r2` is the share of the pixels' variance, about their mean image, that decoding the
    posterior mean explains; it is left out where the images do not vary, as one alone. The KL of each latent goes to `units`.
    """

    name = "elbo"
    reports_costs = True
    metrics = {
        "sse_at_mean": Measure("lower", "squared pixel values", "Squared error of the decoded mean of the code, summed over pixels."),
        "sse_at_location": Measure("lower", "squared pixel values", "Squared error of the decoded location of the code, summed over pixels."),
        "r2": Measure("higher", "share of variance", "Variance of the pixels that decoding the mean of the code explains."),
    }

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On the validation split, and on the test split where there is one."""
        metrics, units = [], []
        for split in sorted(trained.splits.keys() - {"train"}):
            codes, images = trained.codes(split), trained.splits[split].images.cpu()
            sse_at_mean = squared_error(images, trained.decode(codes.mean))
            variation = float(squared_error(images, images.mean(0)).double().sum())
            metrics += [Metric.mean(name, cost, split) for name, cost in codes.costs.items()]
            metrics += [
                Metric.mean("sse_at_mean", sse_at_mean, split),
                Metric.mean("sse_at_location", squared_error(images, trained.decode(codes.location)), split),
            ]
            if variation > 0:
                metrics.append(Metric("r2", 1 - float(sse_at_mean.double().sum()) / variation, split, n=len(images)))
            if codes.kl is not None:
                units.append(PerUnit("kl", codes.kl.mean(0), split))
        return Outcome(metrics, units)


def squared_error(images: Tensor, decoded: Tensor) -> Tensor:
    """|x - decoded|^2 summed over pixels [N]."""
    return (images - decoded).square().flatten(1).sum(1)
