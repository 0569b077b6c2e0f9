"""What every registered thing has in common: a name, a version, options, and a say in where it applies."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from latentbench.numbers import check_kind, kinds_of

if TYPE_CHECKING:
    from latentbench.data.dataset import DataSet
    from latentbench.models.estimator import Estimator
    from latentbench.models.family import Family
    from latentbench.models.likelihood import Likelihood
    from latentbench.models.network import Network


class Options(BaseModel):
    """Base of every settings model: frozen; unknown keys are refused, and so are booleans as numbers and texts as booleans."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_kind(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name in cls.model_fields:
            check_kind(value, _kinds(cls, info.field_name))
        return value

    def scaled(self, factor: float) -> Self:
        """The same for a run whose every duration is `factor` times as long; a model with durations among its options overrides it."""
        return self


@cache
def _kinds(model: type[Options], field: str) -> frozenset[object]:
    """The types that a field may have; asked for every value of every run of a suite."""
    return kinds_of(model.model_fields[field].annotation)


class Part:
    """Base of every class that a plugin registers.

    `name` is what suites say: a letter, then letters, digits, `_`, `.`, `+` or `-`. `version` is part of a run's identity: raise it when results
    change. `options_model` declares the options. `ignores` lists settings of a run (dotted, with wildcards: `training.temperature_*`) that this
    part makes meaningless; the plan drops them before a run's id is made. `defaults` holds settings (dotted) that this part prefers where the suite
    says nothing; where parts differ the estimator wins, then the family, the networks, the likelihood, the data set. `protocols` holds more of them
    by the name of a training protocol, for suites that say `protocol: name`; a protocol exists for the data sets that have one of its name.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    options_model: ClassVar[type[Options]] = Options
    ignores: ClassVar[frozenset[str]] = frozenset()
    defaults: ClassVar[Mapping[str, Any]] = {}
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

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


@dataclass(frozen=True)
class Assembly:
    """Which parts one run puts together, and the sizes they share. Every part is asked about it, and built from it.

    `encoder` and `estimator` are None for a family that infers its codes without them.
    """

    dataset: type[DataSet]
    latent_dim: int
    family: type[Family]
    likelihood: type[Likelihood]
    decoder: type[Network]
    encoder: type[Network] | None = None
    estimator: type[Estimator] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.dataset.image_shape

    @property
    def linear_decoder(self) -> bool:
        """Whether decoded images are Phi z + b, with a dictionary Phi [M, K]."""
        return self.decoder.linear
