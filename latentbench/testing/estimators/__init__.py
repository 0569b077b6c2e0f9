"""The laws of gradient estimators."""

from latentbench.testing.estimators.gradients import discrete_gradient, gradient, small_batches
from latentbench.testing.estimators.reported import reported, shapes
from latentbench.testing.estimators.state import randomness, state
from latentbench.testing.estimators.subject import EstimatorSubject, subject

CHECKS = (shapes, gradient, discrete_gradient, small_batches, reported, randomness, state)

__all__ = ["CHECKS", "EstimatorSubject", "subject"]
