"""A run: one frozen, fully resolved description of what is trained, and its id."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

from latentbench.neutral import added, with_neutral, without_neutral
from latentbench.part import Options
from latentbench.suites.phase import MAX_LENGTH, Phase

OPTION_OWNERS = {f"{setting}_options": setting for setting in ("family", "estimator", "dataset", "likelihood", "encoder", "decoder")}
"""Settings that hold the options of a part, and the setting that names the part."""
SHORTER = "make training.warmup shorter, or a share of the run like .01, or leave the length to the protocol and use --scale, which shortens both"
"""What to do about a warm-up that is as long as the run."""


MAX_SEED = 2**63
"""Seeds are below it."""


class Training(Options):
    """How a model is trained (Poisson VAE, appendix C.3). A duration is a share of the run (0.5), `N epochs` or `N steps`."""

    epochs: float | None = Field(None, gt=0, le=MAX_LENGTH, description="Passes over the training images; or give steps. Fractions are allowed.")
    steps: int | None = Field(None, gt=0, le=MAX_LENGTH, description="Optimiser steps; or give epochs.")
    batch_size: int = Field(200, gt=0, description="Images a step; the last, smaller batch of an epoch is dropped.")
    learning_rate: float = Field(0.002, gt=0, description="Largest learning rate.")
    optimizer: Literal["adamax", "adam", "sgd"] = Field("adamax", description="torch.optim's Adamax, Adam or SGD, with their defaults.")
    warmup: Phase = Field(Phase(0.01), description="Phase in which the learning rate rises linearly from 0.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Of the learning rate, after the warm-up.")
    restarts: int = Field(0, ge=0, description="How often the cosine rises again and falls.")
    learning_rate_min: float = Field(1e-5, ge=0, description="Where the cosine ends.")
    beta_min: float = Field(1e-4, ge=0, description="KL weight at the start.")
    beta_hold: Phase | None = Field(None, description="Phase in which the KL weight stays at beta_min; 0 for a linear decoder, else .01, by default.")
    beta_anneal: Phase = Field(Phase(0.5), description="Phase after that, in which it rises linearly to beta.")
    temperature_start: float | None = Field(None, gt=0, description="Temperature of the relaxation at the start.")
    temperature_stop: float | None = Field(None, gt=0, description="Temperature of the relaxation when annealing is over.")
    temperature_anneal: Literal["linear", "exponential"] = Field("linear", description="How the temperature falls.")
    temperature_portion: Phase = Field(Phase(0.5), description="Phase in which it falls.")
    grad_clip: float | None = Field(None, gt=0, description="Largest norm of the whole gradient; three times that during the warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty added to the gradient.")

    @property
    def unread(self) -> frozenset[str]:
        """The settings, dotted, that others of these make meaningless."""
        return frozenset({"training.restarts", "training.learning_rate_min"} if self.schedule == "constant" else ())

    def scaled(self, factor: float) -> Self:
        """The same with every duration times `factor`, not checked again; shares of the run scale with it by themselves."""
        phases = {name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Phase)}
        changes: dict[str, Any] = {name: phase.scaled(factor) for name, phase in phases.items()}
        changes["epochs"] = None if self.epochs is None else self.epochs * factor
        changes["steps"] = None if self.steps is None else max(1, math.ceil(min(self.steps * factor, 2 * MAX_LENGTH)))
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self

    @model_validator(mode="after")
    def _leaves_its_warmup(self) -> Self:
        """Lengths in one unit are compared here; those in different units once the number of images is known."""
        warmup = self.warmup
        length = {"epochs": self.epochs, "steps": self.steps, "run": 1}[warmup.unit]
        if length is not None and warmup.amount >= length:
            raise ValueError(f"a warm-up of {warmup} takes the whole run{'' if warmup.unit == 'run' else f' of {length:g} {warmup.unit}'}; {SHORTER}")
        return self


class Run(BaseModel):
    """Everything that decides a run's numbers, and nothing else.

    Settings that the run does not read are None, or left out of the nested ones, so that they never split one run into two. `plugins` holds the
    versions of the parts it uses, `sources` the hashes of the data set's files. `protocol` only names the preset that some of the settings came
    from, so it is no part of the id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    family_options: Mapping[str, Any]
    estimator: str | None
    estimator_options: Mapping[str, Any]
    dataset: str
    dataset_options: Mapping[str, Any] = added({}, neutral={})
    likelihood: str
    likelihood_options: Mapping[str, Any] = added({}, neutral={})
    encoder: str | None
    encoder_options: Mapping[str, Any]
    decoder: str
    decoder_options: Mapping[str, Any]
    latent_dim: int
    beta: float | None
    seed: int
    protocol: str | None
    dtype: Literal["float32", "float64", "bfloat16", "tf32"]
    compile: bool | None
    device: Literal["cpu", "cuda"]
    limit_data: float
    training: Mapping[str, Any]
    plugins: Mapping[str, str]
    sources: Mapping[str, str]

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits: a hash over all of the above, but for fields at the neutral value that they declare."""
        return digest(without_neutral(type(self), self.model_dump(exclude_none=True, exclude={"protocol"})))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same, with other values; the id is not copied."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("id", None)
        return copied

    @property
    def about(self) -> str:
        """The run in a few words."""
        networks = "|".join(name for name in (self.encoder, self.decoder) if name)
        return " ".join(word for word in (self.family, self.estimator, self.dataset, networks, f"seed {self.seed}") if word)

    def to_row(self) -> dict[str, Any]:
        """The run as a row: mappings are JSON texts, and its `sources` are `dataset_sources`, as a row has those of the code too."""
        values = self.model_dump(mode="json")
        values["dataset_sources"] = values.pop("sources")
        return {"run_id": self.id, **{key: json.dumps(value, sort_keys=True) if isinstance(value, dict) else value for key, value in values.items()}}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The run of a row, from `to_row` or a table. In a row that is older than a field the field has its default.

        Raises:
            KeyError, ValueError: the row does not describe a run.
        """
        given = {**row, "sources": row["dataset_sources"]}
        nested = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) is Mapping}
        return cls(**{name: json.loads(given[name] or "{}") if name in nested else given[name] for name in cls.model_fields if name in given})

    @property
    def train_settings(self) -> Training:
        """The training settings; those that the run does not read are at defaults that mean nothing to it."""
        return Training(**with_neutral(Training, self.training))


def digest(settings: Mapping[str, Any]) -> str:
    """The first sixteen hexadecimal digits of the sha256 of `settings` as canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


class Settings(Options):
    """What a suite may say of a run; a list of values sweeps them. Defaults of the parts fill what is left out."""

    family: str = Field(description="Latent family.")
    family_options: dict[str, Any] = Field(default_factory=dict, description="Options of the family.")
    estimator: str | None = Field(None, description="Gradient estimator of an amortised family.")
    estimator_options: dict[str, Any] = Field(default_factory=dict, description="Options of the estimator.")
    dataset: str = Field(description="Data set.")
    dataset_options: dict[str, Any] = added({}, neutral={}, description="Options of the data set.")
    likelihood: str | None = Field(None, description="Likelihood of pixels; the data set's own by default.")
    likelihood_options: dict[str, Any] = added({}, neutral={}, description="Options of the likelihood.")
    encoder: str | None = Field(None, description="Network of an amortised family's encoder.")
    encoder_options: dict[str, Any] = Field(default_factory=dict, description="Options of the encoder.")
    decoder: str = Field(description="Network of the decoder.")
    decoder_options: dict[str, Any] = Field(default_factory=dict, description="Options of the decoder.")
    latent_dim: int = Field(512, gt=0, lt=2**31, description="Latent dimensions K.")
    beta: float = Field(1.0, ge=0, description="KL weight.")
    seed: int = Field(ge=0, lt=MAX_SEED, description="Seed of every random stream.")
    protocol: str | None = Field(None, description="Training protocol of the data set, a preset of settings; what the suite says itself wins.")
    dtype: Literal["float32", "float64", "bfloat16", "tf32"] = Field(
        "float32", description="Precision; bfloat16 and, on CUDA devices, tf32 are those of the networks' products."
    )
    compile: bool = Field(False, description="Compile the networks with torch.compile, which needs a C++ compiler on the CPU.")
    limit_data: float = Field(1.0, gt=0, le=1, description="Share of every split that is used.")
    training: Training = Field(description="How the model is trained.")
