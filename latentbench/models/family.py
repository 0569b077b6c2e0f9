"""Latent families: how an image becomes a code, and what that code costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from latentbench.measure import Measure
from latentbench.models.codes import Code, PointCode, Posterior
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import dictionary_of
from latentbench.models.objective import Loss, Step
from latentbench.part import Assembly, Options, Part

TEMPERATURES = frozenset({"training.temperature_*"})


@dataclass(frozen=True)
class Inference:
    """What codes are inferred with. Each kind of family takes what it needs.

    `encoder` is None for a family without one; `generator` is the stream of the noise. `temperature` is that of the relaxation now in training, and
    None in evaluations, which use true samples. `progress` is the share of the run that is done, 1 in evaluations.
    """

    encoder: nn.Module | None
    decoder: nn.Module
    likelihood: Likelihood
    generator: Generator
    temperature: float | None = None
    progress: float = 1.0

    @property
    def training(self) -> bool:
        """Whether codes are differentiated."""
        return self.temperature is not None


class Family(Part, nn.Module, ABC):
    """Base of the three kinds of family; the core uses this interface alone.

    A family is a module: parameters (a learned prior) are trained, parameters and buffers (running statistics) are checkpointed. A run builds
    one, inside a seeded fork of torch's global state, so initial values may be drawn from there. Write a subclass of `AmortisedFamily` (an encoder
    gives the posterior), `latentbench.models.iterative.IterativeFamily` (steps through the decoder give it) or `PointFamily` (a sparse coder).
    """

    cost: ClassVar[str]
    """The metric that training minimises, per image: `nelbo`, `free_energy` or `sparse_coding_cost`. Also the first key of `costs`."""
    estimated_kl: ClassVar[bool] = False
    """Whether the KL is an unbiased estimate from one sample an image, which may be negative, rather than exact."""
    measures: ClassVar[Mapping[str, Measure]] = {}
    """Every cost that `costs` may return, with its direction, unit and meaning."""
    has_posterior: ClassVar[bool]
    """Whether `encode` returns a `Posterior`."""
    covaries: ClassVar[bool] = False
    """Whether dimensions of one code covary, so that its covariance is more than its variances."""
    relaxed: ClassVar[bool] = False
    """Whether `rsample` is a relaxation, at a temperature, of discrete samples. Others ignore the temperature, and suites need not set it."""
    counts: ClassVar[bool] = False
    """Whether samples are counts."""
    one_hot: ClassVar[bool] = False
    """Whether samples are G one-hot vectors of K / G categories each, one after the other, whose mean is their probabilities."""
    atoms: ClassVar[bool] = False
    """Whether a continuous sample has single values of positive probability, where `log_prob` jumps: a rectified number is often 0."""
    features: int
    """How many numbers per image an encoder must give; 0 where there is no encoder."""
    product_dtype: torch.dtype | None = None
    """bfloat16 in a run of that dtype, else None: what the family may compute matrix products of its own in; everything else is float32."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """A family reads the temperature if it is relaxed, whatever its base does."""
        super().__init_subclass__(**kwargs)
        if isinstance(cls.ignores, (set, frozenset)):  # else the plugin is named when it is registered
            cls.ignores = cls.ignores - TEMPERATURES if cls.relaxed else cls.ignores | TEMPERATURES

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__()
        self.latent_dim = assembly.latent_dim

    @abstractmethod
    def encode(self, images: Tensor, inference: Inference) -> Code:
        """Codes of `images` [B, C, H, W]. Called at every training step (with gradient) and by evaluations (without)."""

    @abstractmethod
    def costs(self, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None) -> Mapping[str, Tensor]:
        """What the codes cost, per image [B], in nats: first `cost`, then its parts.

        Called by evaluations. `z` [B, K] is a true sample, `decoded` what is decoded for it, `kl` [B, G] that of posteriors, None for points.
        """

    def prior(self, batch: int) -> Posterior | None:
        """p(z), repeated `batch` times; None for a family without a prior. Called by evaluations that sample the model."""
        return None

    def begin_epoch(self, epoch: int, epochs: float) -> None:
        """Called by the training loop before the first step of every epoch (counted from 0) of `epochs`: schedules, running statistics.

        Keep what it changes in buffers: a run may resume in the middle of an epoch, and evaluations load the model that was stored.
        """

    def observe(self, code: Code) -> None:
        """Called by the training loop at every step with the batch's codes, before anything is sampled: running statistics."""

    def constrain(self, decoder: nn.Module) -> None:
        """Called before the first step and after every optimiser step: constraints on the decoder, like unit-norm columns."""


class AmortisedFamily(Family):
    """A distribution whose parameters an encoder gives: features -> posterior q(z | x), with the prior p(z) that it owns.

    Set `features` in `__init__`. A gradient estimator trains it, on the negative evidence lower bound.
    """

    cost = "nelbo"
    measures = {
        "nelbo": Measure(
            "lower", "nats", "Negative evidence lower bound per image, with one sample of the posterior.", less_constant=True, of_kl=True
        ),
        "reconstruction": Measure("lower", "nats", "Expected negative log-likelihood of an image, less its constant.", less_constant=True),
        "kl": Measure(None, "nats", "Divergence of the posterior from the prior, summed over latents.", of_kl=True),
    }
    has_posterior = True

    @abstractmethod
    def posterior(self, features: Tensor) -> Posterior:
        """q(z | x) from encoder features [B, `features`]. Called at every step, and by evaluations."""

    @abstractmethod
    def prior(self, batch: int) -> Posterior:
        """p(z), repeated `batch` times. Called by estimators that score samples, and by evaluations that sample the model."""

    def encode(self, images: Tensor, inference: Inference) -> Posterior:
        """The posterior of `images`."""
        assert inference.encoder is not None, "the plan gives every amortised family an encoder"
        return self.posterior(inference.encoder(images))

    def costs(self, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None) -> Mapping[str, Tensor]:
        """One-sample estimate of the negative ELBO at KL weight 1, and its two terms."""
        assert kl is not None, "an amortised family encodes to a posterior"
        reconstruction, total = likelihood.reconstruction(images, decoded), kl.sum(1)
        return {"nelbo": reconstruction + total, "reconstruction": reconstruction, "kl": total}


class PointFamily(Family):
    """A sparse coder: infers a point code from the decoder's dictionary. It has no encoder and no estimator; it is its own objective.

    It minimises its cost for a code (`infer`), and its `loss` trains the dictionary at that code.
    """

    cost = "sparse_coding_cost"
    measures = {"sparse_coding_cost": Measure("lower", "nats", "Sparse-coding objective of an image at its code.")}
    has_posterior = False
    features = 0
    ignores = frozenset({"encoder*", "estimator*", "beta", "training.beta_*"})

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A dictionary is needed."""
        return None if assembly.linear_decoder else "it infers codes from a dictionary, and the decoder is not linear"

    @abstractmethod
    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """Codes [B, K] of flat images [B, M] for the dictionary [M, K]. Called without gradient."""

    @abstractmethod
    def loss(self, step: Step) -> Loss:
        """The dictionary's loss at the inferred codes. Called at every training step, like an estimator's."""

    def encode(self, images: Tensor, inference: Inference) -> PointCode:
        """The inferred codes of `images`."""
        dictionary, bias = dictionary_of(inference.decoder)
        with torch.no_grad():
            return PointCode(self.infer(images.flatten(1) - bias, dictionary))
