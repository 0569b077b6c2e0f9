"""`amortisation_gap`: where a bound loses against ln p(x): by its family of posteriors, by its encoder, and by the estimator that trained that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from latentbench.api import AmortisedFamily, Assembly, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, Posterior, Trained
from latentbench_evaluations.bounds import bound, effective_sample_size, log_weights
from latentbench_evaluations.chosen import BATCH, Chosen, noise
from latentbench_evaluations.exact_likelihood import enumerated, linear_gaussian
from latentbench_evaluations.posterior_elbo import Elbo, is_closed
from latentbench_evaluations.posterior_fit import Fit, optimised, refitted


class AmortisationGapOptions(EvaluationOptions):
    """Options of `amortisation_gap`."""

    images: int | None = Field(200, gt=0, description="Images of the split, evenly spaced; null takes all.")
    steps: int = Field(300, ge=1, description="Steps of Adam for the posterior of each image.")
    learning_rate: float = Field(0.1, gt=0, description="Its learning rate, in units of what the encoder gives; it falls as a cosine.")
    draws: int = Field(8, ge=2, description="Samples a step, and a twentieth of those that measure, where the bound has no closed form.")
    samples: int = Field(1000, ge=1, description="Samples S of the bound of ln p(x), from the optimised posterior, where it is not exact.")
    codes: int = Field(4096, ge=1, description="Codes of discrete latents that ln p(x) is summed over exactly, at most.")
    refit_steps: int = Field(500, ge=0, description="Steps of the encoder with the exact gradient, for `estimator_gap`; 0 leaves it out.")


@dataclass(frozen=True)
class Bounds:
    """Of n images [n] in nats: the bound at the encoder's posterior, at the optimised one, at a refitted encoder's, ln p(x), and its samples."""

    encoder: Tensor
    optimised: Tensor
    refitted: Tensor | None
    log_p: Tensor
    effective: Tensor | None


class AmortisationGap(Evaluation):
    """ln p(x) - ELBO, split: what the best posterior of the family loses (approximation), and what the encoder loses to that one (amortisation).

    The parameters of the posterior are optimised image by image, from the encoder's output on (Cremer et al. 2018). `bound_gap` is the sum of
    `approximation_gap` and `amortisation_gap`; all are of the bound with the family's own KL at true samples, constants included, and errors are over
    the same images. With a linear decoder and Gaussian noise the bound is in closed form, and the amortisation gap is not negative by construction;
    else both posteriors are measured with common noise. There, `estimator_gap` is what the encoder gains on these images by more training with the
    exact gradient, decoder and prior fixed: the part of the amortisation gap that the estimator, or too short a training, left.
    """

    name = "amortisation_gap"
    options_model = AmortisationGapOptions
    metrics = {
        "amortisation_gap": Measure("lower", "nats", "ELBO of the posterior optimised image by image, less that of the encoder's."),
        "approximation_gap": Measure("lower", "nats", "ln p(x) less the ELBO of the optimised posterior."),
        "bound_gap": Measure("lower", "nats", "ln p(x) less the ELBO of the encoder's posterior."),
        "estimator_gap": Measure("lower", "nats", "ELBO of the encoder trained on with the exact gradient, less that of the encoder."),
        "amortised_nelbo": Measure(
            "lower", "nats", "Negative ELBO of the encoder's posterior, all constants in, on the images measured.", of_kl=True
        ),
        "optimised_nelbo": Measure("lower", "nats", "Negative ELBO of the optimised posterior, all constants in.", of_kl=True),
        "negative_log_likelihood": Measure("lower", "nats", "-ln p(x), exact or by the bound of S samples of the optimised posterior."),
        "proposal_sample_size": Measure("higher", "samples", "Effective sample size of that bound; left out where ln p(x) is exact."),
    }

    def __init__(self, options: AmortisationGapOptions) -> None:
        self.options = options

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """An encoder is needed."""
        family = assembly.family
        amortised = isinstance(family, type) and issubclass(family, AmortisedFamily)
        return None if amortised else f"it compares posteriors with an encoder's, and '{family.name}' has none"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        split, images = self.options.split, trained.splits[self.options.split].images
        draws, encoder = noise(generator, trained.model.device), trained.model.encoder
        assert encoder is not None, "the plan leaves this evaluation out where there is none"
        closed = is_closed(trained) and self.options.refit_steps > 0
        with torch.enable_grad():
            other = refitted(trained, encoder, self.options.refit_steps, draws) if closed else None
        chosen = Chosen.of(len(images), self.options.images)
        found = _gaps([self._batch(trained, images[places], other, draws) for places in chosen.places.split(BATCH)])
        per_image, arrays = chosen.stored(split, found)
        return Outcome([Metric.mean(name, values, split) for name, values in found.items()], arrays=arrays, images=per_image)

    def _batch(self, trained: Trained, images: Tensor, refit: nn.Module | None, draws: Generator) -> Bounds:
        images, o = images.to(trained.model.device, trained.model.dtype), self.options
        encoder = trained.model.encoder
        assert encoder is not None, "`evaluate` has asked"
        with torch.no_grad():
            features = encoder(images)
        with torch.enable_grad():
            best = optimised(trained, images, features, Fit(o.steps, o.learning_rate, o.draws), draws)
        with torch.no_grad():
            seed = int(torch.randint(2**62, (), generator=draws, device=draws.device))
            elbo = Elbo(trained, images, 20 * o.draws)
            candidates = [features, best] if refit is None else [features, best, refit(images)]
            values = [elbo.at(candidate, torch.Generator(draws.device).manual_seed(seed)).cpu() for candidate in candidates]
            q = elbo.family.posterior(best)
        return Bounds(values[0], values[1], values[2] if refit is not None else None, *self._log_p(trained, images, q, values[1], draws))

    def _log_p(self, trained: Trained, images: Tensor, q: Posterior, lower: Tensor, draws: Generator) -> tuple[Tensor, Tensor | None]:
        """ln p(x) [B], and the effective sample size where it is a bound."""
        exact = linear_gaussian(trained, images) or enumerated(trained, images, lower, 1e-3, self.options.codes)
        if exact is not None:
            return exact.log_likelihood, None
        log_w = log_weights(trained, images, q, self.options.samples, draws)
        return bound(log_w, self.options.samples), effective_sample_size(log_w, self.options.samples)


def _gaps(batches: list[Bounds]) -> Mapping[str, Tensor]:
    """Every metric of each image [n]."""
    encoder, best, log_p = (torch.cat([getattr(b, name) for b in batches]) for name in ("encoder", "optimised", "log_p"))
    found = {
        "amortisation_gap": best - encoder,
        "approximation_gap": log_p - best,
        "bound_gap": log_p - encoder,
        "amortised_nelbo": -encoder,
        "optimised_nelbo": -best,
        "negative_log_likelihood": -log_p,
    }
    refits, effective = [b.refitted for b in batches if b.refitted is not None], [b.effective for b in batches if b.effective is not None]
    if refits and bool(torch.cat(refits).isfinite().all()):  # where the bound overflows at the other encoder, what it gains is not defined
        found["estimator_gap"] = torch.cat(refits) - encoder
    if len(effective) == len(batches):
        found["proposal_sample_size"] = torch.cat(effective)
    return found
