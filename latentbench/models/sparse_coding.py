"""A base for sparse coders: the objective 1/2 |x - Phi z|^2 + lambda |z|_1, its optimality, and how it trains a dictionary.

The paper's eq. 1 has no 1/2, so its beta is 2 lambda there; the values that it lists are thresholds, and so lambda. scikit-learn's alpha is
lambda / M for M pixels.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from latentbench.blocks.lasso import kkt_residual
from latentbench.measure import Measure
from latentbench.models.codes import Code, PointCode
from latentbench.models.family import Inference, PointFamily
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import dictionary_of
from latentbench.models.objective import Loss, Step
from latentbench.part import Assembly, Options

SCHEDULE = re.compile(r"^\s*([0-9.eE+-]+)\s*:\s*([0-9.eE+-]+)\s*:\s*([0-9.eE+-]+)\s*$")


@dataclass(frozen=True)
class L1Schedule:
    """The L1 weight, from `start` in steps of `step` to `end`, where it stays."""

    start: float
    end: float
    step: float

    @classmethod
    def parse(cls, value: float | str) -> L1Schedule:
        """A number, or `start:end:step`.

        Raises:
            ValueError: it is neither, a number is negative, or the steps lead away from the end.
        """
        if not isinstance(value, str):
            return cls(value, value, 0.0)
        match = SCHEDULE.match(value)
        try:
            start, end, step = (float(part) for part in match.groups()) if match else (-1.0, -1.0, -1.0)
        except ValueError:
            start = end = step = -1.0
        if min(start, end) < 0 or (end - start) * step < 0 or (start != end and step == 0):
            raise ValueError("an L1 weight is a number, or a schedule start:end:step that leads from start to end, like 0.05:0.7:0.1")
        return cls(start, end, step)

    def at(self, rises: int) -> float:
        """The weight after `rises` steps."""
        value = self.start + rises * self.step
        return min(value, self.end) if self.step >= 0 else max(value, self.end)


class L1Options(Options):
    """Options of every sparse coder, however it infers."""

    l1_weight: float | str = Field(0.1, description="lambda, a number or a schedule start:end:step.")
    l1_every: float = Field(5.0, gt=0, description="Epochs between two steps of the schedule of lambda.")
    non_negative: bool = Field(True, description="Whether codes are kept from being negative, as in the paper.")

    @field_validator("l1_weight")
    @classmethod
    def _check_l1_weight(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and value < 0:
            raise ValueError("an L1 weight is at least 0")
        L1Schedule.parse(value)
        return value

    def scaled(self, factor: float) -> Self:
        """The schedule of lambda is part of the run's length."""
        return self.model_copy(update={"l1_every": self.l1_every * factor})


class SparseCodingOptions(L1Options):
    """Options of a sparse coder that infers in iterations."""

    iterations: int = Field(900, gt=0, description="Iterations of inference.")
    tolerance: float = Field(0.0, ge=0, description="Inference ends when no code changes by more in an iteration; 0: never before its iterations.")


class SparseCode(PointCode):
    """Inferred codes `z` [B, K], and the dictionary [M, K] that they are for."""

    def __init__(self, z: Tensor, dictionary: Tensor) -> None:
        super().__init__(z)
        self.dictionary = dictionary


PAPER = {
    "training.epochs": 100,
    "training.batch_size": 1000,
    "training.learning_rate": 0.1,
    "training.warmup": 0.0,
    "training.grad_clip": None,
    "training.weight_decay": 0.0,
}
"""The paper's training of sparse coders, on any data set (C.3.1); but for the learning rate, as lca-pytorch's is that of another gradient."""


class SparseCoder(PointFamily):
    """Base of sparse coders: a subclass says how codes are inferred.

    The dictionary descends the gradient of the mean over images of 1/2 |x - Phi z|^2 at the inferred codes, and its columns are kept at unit
    norm.
    """

    options_model: ClassVar[type[Options]] = SparseCodingOptions
    measures = {
        **PointFamily.measures,
        "squared_error": Measure(None, "squared pixel values", "Squared error of the decoded code, summed over pixels."),
        "penalty": Measure(None, "nats", "L1 norm of the code times its weight lambda."),
        "kkt_residual": Measure(None, "pixel values", "Largest violation of the optimality conditions of a code; 0 at the optimum."),
    }
    defaults = {"training.optimizer": "sgd", "training.schedule": "constant", "training.warmup": 0.0, "training.learning_rate": 0.1}
    protocols = {"paper": PAPER, "paper-2026": PAPER}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, L1Options)
        self.sparse_coding_options = options
        self.schedule = L1Schedule.parse(options.l1_weight)
        self.register_buffer("l1", torch.tensor(self.schedule.start))
        self.l1: Tensor
        self._read: tuple[Tensor, int, float] | None = None

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A dictionary and a squared error are needed."""
        if not assembly.quadratic:
            return f"it minimises a squared error, and the likelihood '{assembly.likelihood.name}' has none"
        return super().inapplicable(assembly, options)

    @abstractmethod
    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """Codes [B, K] of flat images [B, M] for the dictionary [M, K] of unit-norm columns, at the L1 weight `self.threshold`."""

    @property
    def threshold(self) -> float:
        """lambda as a number; the host waits for the device where the buffer `l1` was changed since it was read."""
        if self._read is None or self._read[0] is not self.l1 or self._read[1] != self.l1._version:
            self._read = self.l1, self.l1._version, float(self.l1)
        return self._read[2]

    def encode(self, images: Tensor, inference: Inference) -> SparseCode:
        """The inferred codes of `images`."""
        return SparseCode(super().encode(images, inference).z, dictionary_of(inference.decoder)[0].detach())

    def begin_epoch(self, epoch: int, epochs: float) -> None:
        """Take lambda from its schedule."""
        self.l1.fill_(self.schedule.at(int(epoch / self.sparse_coding_options.l1_every + 1e-9)))

    def loss(self, step: Step) -> Loss:
        """1/2 |x - Phi z|^2, averaged over images."""
        z = step.code.mean
        squared_error = step.likelihood.reconstruction(step.images, step.decoder(z))
        return Loss(0.5 * squared_error.mean(), {"squared_error": squared_error.detach(), "penalty": self.l1 * z.abs().sum(1)})

    def costs(self, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None) -> Mapping[str, Tensor]:
        """The objective, |x - Phi z|^2, the penalty, and by how much the code misses its optimum."""
        assert isinstance(code, SparseCode), "a sparse coder infers sparse codes"
        squared_error, penalty = likelihood.reconstruction(images, decoded), self.l1 * z.abs().sum(1)
        correlation = (images - decoded).flatten(1) @ code.dictionary
        kkt = kkt_residual(z, correlation, self.l1, self.sparse_coding_options.non_negative)
        return {"sparse_coding_cost": 0.5 * squared_error + penalty, "squared_error": squared_error, "penalty": penalty, "kkt_residual": kkt}

    def constrain(self, decoder: nn.Module) -> None:
        """Columns of unit norm."""
        dictionary, _ = dictionary_of(decoder)
        with torch.no_grad():
            dictionary /= torch.linalg.vector_norm(dictionary, dim=0).clamp(min=torch.finfo(dictionary.dtype).tiny)
