"""An iterative family as its checks see it: a model in float64 at initial values, and one that has been trained for some steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Generator, Tensor

from latentbench.models.family import Inference
from latentbench.models.iterative import Iterate, IteratedPosterior, IterativeFamily
from latentbench.models.model import Model
from latentbench.models.objective import Step
from latentbench.part import Assembly, Options
from latentbench.testing import bench
from latentbench.testing.law import Effort

ROWS, BATCH = 8, 100
TEMPERATURE = 0.5
STEPS, LEARNING_RATE = 50, 0.003
SMALL = 0.1
"""Factor of the decoder's initial values: where steps of inference are long, one through a large decoder may diverge until training shortens them."""


@dataclass(frozen=True)
class IterativeSubject:
    """An iterative family's class with options, in an assembly with a linear decoder and a squared error."""

    part: type[IterativeFamily]
    options: Options
    effort: Effort
    assembly: Assembly

    def built(self, dtype: torch.dtype = torch.float64, seed: int = 1) -> Model:
        """The model at initial values, of a decoder that starts small."""
        model = bench.model(self.assembly, self.effort, dtype, seed)
        with torch.no_grad():
            for parameter in model.decoder.parameters():
                parameter.mul_(SMALL)
        return model

    @cached_property
    def images(self) -> Tensor:
        """The kit's images [N, 1, 4, 4]."""
        return bench.images(self.assembly, self.effort)

    def stream(self, *names: str | int) -> Generator:
        """A stream of the kit's randomness."""
        return self.effort.generator(self.part.name, *names)

    def inference(self, model: Model, training: bool, *names: str | int, progress: float = 1.0) -> Inference:
        """What codes are inferred with, in training or in an evaluation."""
        return Inference(None, model.decoder, model.likelihood, self.stream("inference", *names), TEMPERATURE if training else None, progress)

    def iterates(self, model: Model, images: Tensor, training: bool) -> Iterator[Iterate]:
        """The steps of inference."""
        return cast("IterativeFamily", model.family).infer(images, self.inference(model, training))

    def encoded(self, model: Model, images: Tensor, training: bool = False, *names: str | int, progress: float = 1.0) -> IteratedPosterior:
        """The posterior after all steps."""
        return cast("IterativeFamily", model.family).encode(images, self.inference(model, training, *names, progress=progress))

    def surrogate(self, model: Model, images: Tensor, *names: str | int) -> Tensor:
        """The training loss of images, with the same noise for the same names."""
        return self._surrogate(model, images, self.encoded(model, images, True, *names), *names)

    def _surrogate(self, model: Model, images: Tensor, code: IteratedPosterior, *names: str | int) -> Tensor:
        noise = self.stream("step", *names)
        return model.loss(Step(images, code, model.family, model.decoder, model.likelihood, 1.0, TEMPERATURE, True, noise)).surrogate

    @cached_property
    def trained(self) -> tuple[Model, list[float]]:
        """A model after 50 steps of Adam in float32, and the surrogate of every step."""
        model, images, losses = self.built(torch.float32), self.images.float(), []
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
        model.family.begin_epoch(0, 1)
        for step in range(STEPS):
            optimizer.zero_grad()
            batch = images.roll(step * BATCH, 0)[:BATCH]
            code = self.encoded(model, batch, True, progress=step / STEPS)
            model.family.observe(code)
            loss = self._surrogate(model, batch, code)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return model, losses


def subject(part: type[IterativeFamily], options: Options, effort: Effort) -> IterativeSubject:
    """The subject of the checks of iterative families.

    Raises:
        InapplicableError: it does not apply to a linear decoder with a squared error, with these options.
    """
    return IterativeSubject(part, options, effort, bench.assembly(options={"family": options}, family=part, encoder=None))
