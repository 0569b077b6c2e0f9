"""The evidence lower bound as a function of a posterior, with all constants: in closed form, or from samples; and what its gradient is taken of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from latentbench.api import AmortisedFamily, Posterior, Trained, dictionary_of
from latentbench_evaluations.bounds import log_likelihoods


@dataclass(frozen=True)
class Elbo:
    """E_q ln p(x | z) - KL(q || p) of images [B, *data_shape] in nats, with the family's own KL."""

    trained: Trained
    images: Tensor
    draws: int

    @property
    def family(self) -> AmortisedFamily:
        """The amortised family; the plan leaves others out."""
        family = self.trained.model.family
        assert isinstance(family, AmortisedFamily), "the plan leaves this evaluation out where there is no encoder"
        return family

    @property
    def closed(self) -> bool:
        """Whether E ln p(x | z) has a closed form: a linear decoder, and Gaussian noise whose variance is not decoded."""
        return is_closed(self.trained)

    @property
    def exact(self) -> bool:
        """Whether `at` has no noise: its KL is in closed form too."""
        return self.closed and not self.family.estimated_kl

    def at(self, features: Tensor, generator: Generator) -> Tensor:
        """The bound [B] at an encoder's features [B, F], in float64: exact, or a mean over `draws` samples."""
        q = self.family.posterior(features)
        expected = closed_form(self.trained, self.images, q) if self.closed else self._sampled(q, generator)
        return expected.double() - self._kl(q, generator).double()

    def surrogate(self, features: Tensor, generator: Generator) -> Tensor:
        """What has the bound's gradient in the features, unbiased [B]: itself, through reparameterised samples, or ln q weighted by scores.

        Discrete samples have no gradient: theirs is sum_s (f_s - mean of the others' f) d ln q(z_s) / N (leave-one-out; Kool et al. 2019).
        """
        family = self.family
        if self.closed:
            return self.at(features, generator)
        q = family.posterior(features)
        if family.relaxed or family.counts:
            z = torch.stack([q.sample(generator) for _ in range(self.draws)])
            with torch.no_grad():
                f = log_likelihoods(self.trained, self.images, z)
                advantage = (f - f.mean(0)) / (self.draws - 1)
            expected = (advantage * q.log_prob(z).sum(-1)).sum(0)
        else:
            z = torch.stack([q.rsample(1.0, generator) for _ in range(self.draws)])
            expected = log_likelihoods(self.trained, self.images, z).mean(0)
        return expected - self._kl(q, generator)

    def _kl(self, q: Posterior, generator: Generator) -> Tensor:
        """KL(q || p) [B]; where the family estimates it, a mean over `draws`."""
        estimates = [q.kl(generator).sum(1) for _ in range(self.draws if self.family.estimated_kl else 1)]
        return torch.stack(estimates).mean(0)

    def _sampled(self, q: Posterior, generator: Generator) -> Tensor:
        total = torch.zeros(len(self.images), dtype=torch.float64, device=self.images.device)
        for _ in range(self.draws):
            total += log_likelihoods(self.trained, self.images, q.sample(generator)[None])[0]
        return total / self.draws


def is_closed(trained: Trained) -> bool:
    """Whether E_q ln p(x | z) has a closed form for any q with a mean and a variance."""
    return trained.assembly.linear_decoder and trained.model.likelihood.noise_variance() is not None


def closed_form(trained: Trained, images: Tensor, q: Posterior) -> Tensor:
    """ln N(x; b + Phi m, sigma^2) - 1/2 E |Phi (z - m) / sigma|^2 [B] of a linear decoder with Gaussian noise, m the mean of q."""
    model, variance = trained.model, trained.model.likelihood.noise_variance()
    assert variance is not None, "asked of Gaussian noise alone"
    dictionary, _ = dictionary_of(model.decoder)
    scale = variance.to(dictionary).expand(trained.assembly.data_shape).flatten().rsqrt()
    at_mean = model.likelihood.log_prob(images, model.decoder(q.mean))
    return at_mean - 0.5 * q.decoded_variance(dictionary * scale[:, None])
