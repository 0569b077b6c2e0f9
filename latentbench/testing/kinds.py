"""The laws of every kind of part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from latentbench.data.dataset import DataSet
from latentbench.engine import Engine
from latentbench.errors import UserError
from latentbench.evaluation.contract import Evaluation
from latentbench.models.estimator import Estimator
from latentbench.models.family import AmortisedFamily, PointFamily
from latentbench.models.iterative import IterativeFamily
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import Network
from latentbench.part import Options, Registered
from latentbench.testing import datasets, engines, estimators, evaluations, families, iterative_families, likelihoods, networks, point_families
from latentbench.testing.law import Check, Effort


@dataclass(frozen=True)
class Laws:
    """The laws of the parts derived from `base`.

    `subject` makes of a part, its options and the effort what the checks are given; it raises `InapplicableError` where the part does not apply.
    """

    base: type[Registered]
    singular: str
    checks: Sequence[Check]
    subject: Callable[[Any, Options, Effort], Any]

    @property
    def names(self) -> list[str]:
        """The names of the checks."""
        return [check.name for check in self.checks]


LAWS = (
    Laws(AmortisedFamily, "family", families.CHECKS, families.subject),
    Laws(PointFamily, "family", point_families.CHECKS, point_families.subject),
    Laws(IterativeFamily, "family", iterative_families.CHECKS, iterative_families.subject),
    Laws(Estimator, "estimator", estimators.CHECKS, estimators.subject),
    Laws(Likelihood, "likelihood", likelihoods.CHECKS, likelihoods.subject),
    Laws(Network, "network", networks.CHECKS, networks.subject),
    Laws(DataSet, "data set", datasets.CHECKS, datasets.subject),
    Laws(Evaluation, "evaluation", evaluations.CHECKS, evaluations.subject),
    Laws(Engine, "engine", engines.CHECKS, engines.subject),
)


def laws_of(part: type[Registered]) -> Laws:
    """The laws of a part's kind.

    Raises:
        UserError: there are none for such a class.
    """
    for laws in LAWS:
        if isinstance(part, type) and issubclass(part, laws.base):
            return laws
    raise UserError(f"there are no checks for {part!r}; there are for classes derived from {', '.join(laws.base.__name__ for laws in LAWS)}")
