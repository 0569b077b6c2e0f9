"""An estimator as its checks see it: in small models of the kit whose expected loss is known, by continuous and by discrete latents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from latentbench.models.estimator import Estimator
from latentbench.models.family import AmortisedFamily
from latentbench.models.model import Model
from latentbench.models.network import Network
from latentbench.models.objective import Step
from latentbench.part import Assembly, Options
from latentbench.testing import bench
from latentbench.testing.bench import KitBent, KitImages, KitImagesOptions, KitLinear
from latentbench.testing.estimators.families import KitBernoulli, KitGaussian, KitOneHot
from latentbench.testing.law import Effort, InapplicableError

BETA = 0.7
"""Not 1, and its square is another number: a weight that is forgotten, or applied twice, shows."""
TEMPERATURE = 0.5
SHAPE = (1, 2, 2)
ROWS = 3
"""Different images of a batch, so that what mixes images up shows."""
FAMILIES: tuple[tuple[type[AmortisedFamily], int], ...] = ((KitGaussian, 2), (KitBernoulli, 3))
ONE_HOT: tuple[type[AmortisedFamily], int] = (KitOneHot, 6)
"""For estimators that apply to neither, and decode true samples."""


@dataclass(frozen=True)
class Case:
    """An estimator in one assembly of the kit."""

    part: type[Estimator]
    assembly: Assembly
    effort: Effort

    @property
    def title(self) -> str:
        """The family and the decoder."""
        return f"{self.assembly.family.name}, {self.assembly.decoder.name}"

    @property
    def discrete(self) -> bool:
        """Whether samples are discrete, and relaxed where they are differentiable."""
        return self.assembly.family.relaxed

    @property
    def tempered(self) -> bool:
        """Whether the estimator reads the temperature of the relaxation."""
        return self.discrete and not self.part.names_ignored("training.temperature_start")

    @cached_property
    def model(self) -> Model:
        """The model in float64, in training mode."""
        return self.built()

    def built(self, dtype: torch.dtype = torch.float64, seed: int = 1) -> Model:
        """A model at the initial values of a seed."""
        return bench.model(self.assembly, self.effort, dtype, seed).train()

    @cached_property
    def images(self) -> Tensor:
        """The images of the rows [R, 1, 2, 2]."""
        return bench.images(self.assembly, self.effort)[:ROWS]

    @cached_property
    def features(self) -> Tensor:
        """Encoder features [R, F] in [-1, 0.5]: scales and probabilities are moderate."""
        size = self.model.family.features
        return self.effort.uniform(-1, 0.5, ROWS, size, name="features")

    def stream(self, *names: str | int) -> Generator:
        """A stream of the kit's randomness."""
        return self.effort.generator(self.part.name, self.title, *names)

    def step(self, model: Model, images: Tensor, features: Tensor, generator: Generator) -> Step:
        """A training step at the given encoder features [B, F]."""
        assert isinstance(model.family, AmortisedFamily)
        code = model.family.posterior(features)
        return Step(images, code, model.family, model.decoder, model.likelihood, BETA, TEMPERATURE, True, generator)


@dataclass(frozen=True)
class EstimatorSubject:
    """An estimator with one choice of options in every assembly of the kit that it applies to."""

    cases: tuple[Case, ...]

    def only(self, discrete: bool) -> tuple[Case, ...]:
        """The cases with continuous or with discrete latents.

        Raises:
            InapplicableError: the estimator applies to none.
        """
        found = tuple(case for case in self.cases if case.discrete == discrete)
        if not found:
            raise InapplicableError(f"it does not apply to {'discrete' if discrete else 'continuous'} latents")
        return found


def subject(part: type[Estimator], options: Options, effort: Effort) -> EstimatorSubject:
    """The subject of the checks of estimators.

    Raises:
        InapplicableError: the estimator applies to no assembly of the kit, with these options.
    """
    reasons: list[str] = []
    cases = [case for family, size in FAMILIES for case in _cases(part, options, effort, family, size, reasons)]
    if not cases and part.names_ignored("training.temperature_start"):
        cases = _cases(part, options, effort, *ONE_HOT, reasons)
    if not cases:
        raise InapplicableError(reasons[0])
    return EstimatorSubject(tuple(cases))


def _cases(part: type[Estimator], options: Options, effort: Effort, family: type[AmortisedFamily], latent_dim: int, reasons: list[str]) -> list[Case]:
    """The cases of a family, with both decoders; why there is none is added to `reasons`."""
    found = []
    for decoder in (KitLinear, KitBent):
        try:
            found.append(Case(part, _assembly(part, options, family, latent_dim, decoder), effort))
        except InapplicableError as reason:
            reasons.append(str(reason))
    return found


def _assembly(part: type[Estimator], options: Options, family: type[AmortisedFamily], latent_dim: int, decoder: type[Network]) -> Assembly:
    images = KitImages(KitImagesOptions(shape=SHAPE))
    return bench.assembly(latent_dim, {"estimator": options}, estimator=part, family=family, decoder=decoder, dataset=images)
