"""What registered classes have in common, and what the parts of one run may know of each other."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from latentbench.numbers import check_kind, kinds_of
from latentbench.search import Choices, Range


class Options(BaseModel):
    """Base of every settings model: frozen; unknown keys are refused, and so are booleans as numbers and texts as booleans."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_kind(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = _kinds(cls, info.field_name)
        if kinds is not None:
            check_kind(value, kinds)
        return value

    def scaled(self, factor: float) -> Self:
        """The same for a run whose every duration is `factor` times as long; a model with durations among its options overrides it."""
        return self


@cache
def _kinds(model: type[Options], field: str | None) -> frozenset[object] | None:
    """The types that a field may have, None for what is no field; asked for every value of every run of a suite."""
    return kinds_of(model.model_fields[field].annotation) if field in model.model_fields else None


class Registered:
    """Base of every class that a plugin registers.

    `name` is what suites say: a letter, then letters, digits, `_`, `.`, `+` or `-`. `options_model` declares the options.
    """

    name: ClassVar[str]
    options_model: ClassVar[type[Options]] = Options


class Part(Registered):
    """Base of what a run is made of, and of what is measured on it: families, estimators, likelihoods, networks, data sets, evaluations.

    `version` is part of a run's identity: raise it when results change. `ignores` lists settings of a run (dotted, with wildcards:
    `training.temperature_*`) that this part makes meaningless; the plan drops them before a run's id is made. `defaults` holds settings (dotted) that
    this part prefers where the suite says nothing; where parts differ the estimator wins, then the family, the networks, the likelihood, the data
    set. `protocols` holds more of them by the name of a training protocol, for suites that say `protocol: name`; a protocol exists for the data sets
    that have one of its name. `search` holds what `latentbench tune` tries of settings (dotted) where the suite says nothing; it is no part of a
    run's identity. `deviations` names the checks of `latentbench check` that this part is known to break, each with the reason.
    """

    version: ClassVar[str] = "1"
    ignores: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, Any]] = {}
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    search: ClassVar[Mapping[str, Range | Choices]] = {}
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse an `ignored` that cannot be called as `ignored(assembly, options)`, so that its plugin is named when it is loaded."""
        super().__init_subclass__(**kwargs)
        signature = inspect.signature(cls.ignored)
        try:
            signature.bind("assembly", "options")
        except TypeError as error:
            raise TypeError(
                f"{cls.__qualname__}.ignored is a classmethod that is called with (assembly, options), and it takes {signature}"
            ) from error

    @classmethod
    def names_ignored(cls, setting: str) -> bool:
        """Whether this part ignores a setting whatever the other parts are."""
        return any(fnmatchcase(setting, pattern) for pattern in cls.ignores)

    @classmethod
    def ignored(cls, assembly: Assembly, options: Options) -> frozenset[str]:
        """Settings that mean nothing with this part and its `options` in `assembly`: `ignores`, unless it depends on either."""
        return cls.ignores

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Why this part cannot serve in `assembly` (a short clause), or None. The plan calls it for every run."""
        return None


class Named(Protocol):
    """A part of a run, as the other parts see it."""

    @property
    def name(self) -> str:
        """What suites call it."""
        ...


class AnyDataSet(Named, Protocol):
    """What parts may ask of the data set (`latentbench.data.dataset.DataSet`)."""

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of one item: (C, H, W) of an image, (M,) of a vector."""
        ...

    @property
    def pixels(self) -> str:
        """The kind of its numbers: `real`, `unit`, `binary` or `count`."""
        ...

    @property
    def labelled(self) -> bool:
        """Whether items have labels."""
        ...

    @property
    def has_test(self) -> bool:
        """Whether there is a test split."""
        ...

    @property
    def has_truth(self) -> bool:
        """Whether the causes and the dictionary that made its items are known."""
        ...


class AnyFamily(Named, Protocol):
    """What parts may ask of the latent family (`latentbench.models.family.Family`)."""

    @property
    def cost(self) -> str:
        """The metric that training minimises."""
        ...

    @property
    def has_posterior(self) -> bool:
        """Whether codes are posteriors."""
        ...

    @property
    def estimated_kl(self) -> bool:
        """Whether the KL is an estimate from samples, which may be negative."""
        ...

    @property
    def relaxed(self) -> bool:
        """Whether differentiable samples are relaxations of discrete ones."""
        ...

    @property
    def counts(self) -> bool:
        """Whether samples are counts."""
        ...

    @property
    def one_hot(self) -> bool:
        """Whether samples are one-hot vectors."""
        ...

    @property
    def atoms(self) -> bool:
        """Whether a continuous sample has single values of positive probability."""
        ...

    @property
    def covaries(self) -> bool:
        """Whether dimensions of one code covary."""
        ...


class AnyLikelihood(Named, Protocol):
    """What parts may ask of the likelihood (`latentbench.models.likelihood.Likelihood`)."""

    def numbers(self, options: Any) -> int:
        """How many numbers a pixel the decoder gives."""
        ...

    def is_quadratic(self, options: Any) -> bool:
        """Whether the cost of a reconstruction is the squared error of what is decoded."""
        ...


class AnyNetwork(Named, Protocol):
    """What parts may ask of a network (`latentbench.models.network.Network`)."""

    @property
    def linear(self) -> bool:
        """Whether a decoder of it is Phi z + b."""
        ...


@dataclass(frozen=True)
class Assembly:
    """Which parts one run puts together, their options, and the sizes they share. Every part is asked about it, and built from it.

    `dataset` is an instance, as its shape may depend on its options; the others are classes. `encoder` and `estimator` are None for a family that
    infers its codes without them. `options` has those of every part, by the setting that names it.
    """

    dataset: AnyDataSet
    latent_dim: int
    family: AnyFamily
    likelihood: AnyLikelihood
    decoder: AnyNetwork
    encoder: AnyNetwork | None = None
    estimator: Named | None = None
    options: Mapping[str, Options] = field(default_factory=dict, compare=False)  # which need not be hashable

    @property
    def data_shape(self) -> tuple[int, ...]:
        """The shape of one item: (C, H, W) of an image, (M,) of a vector."""
        return self.dataset.data_shape

    @property
    def decoded_shape(self) -> tuple[int, ...]:
        """The shape of what the decoder gives for one code: that of an item, with as many times its first side as the likelihood needs numbers."""
        first, *rest = self.data_shape
        return (first * self.likelihood.numbers(self.options["likelihood"]), *rest)

    @property
    def linear_decoder(self) -> bool:
        """Whether what is decoded is Phi z + b, with a dictionary Phi [M, K]: one number a pixel."""
        return self.decoder.linear and self.decoded_shape == self.data_shape

    @property
    def quadratic(self) -> bool:
        """Whether the cost of a reconstruction is the squared error of what is decoded, whose expectation a linear decoder has in closed form."""
        return self.likelihood.is_quadratic(self.options["likelihood"])

    @property
    def parts(self) -> tuple[type[Part], ...]:
        """The classes of all parts."""
        found = (type(self.dataset), self.family, self.likelihood, self.decoder, self.encoder, self.estimator)
        return tuple(part for part in found if isinstance(part, type) and issubclass(part, Part))
