"""The laws of evaluations."""

from latentbench.testing.evaluations.isolation import data, model, order, split, stream
from latentbench.testing.evaluations.returned import declared, errors, finite, outcome, sizes
from latentbench.testing.evaluations.subject import EvaluationSubject, subject

CHECKS = (outcome, declared, finite, errors, sizes, stream, order, split, model, data)

__all__ = ["CHECKS", "EvaluationSubject", "subject"]
