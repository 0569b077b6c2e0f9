"""The laws of amortised families."""

from latentbench.testing.families.distribution import distribution, normalised, support
from latentbench.testing.families.divergence import kl, kl_at_prior, kl_is_positive
from latentbench.testing.families.extremes import extremes
from latentbench.testing.families.gradients import gradients, pathwise
from latentbench.testing.families.integrals import normal, values
from latentbench.testing.families.moments import decoded_variance, mean, score, variance
from latentbench.testing.families.randomness import fresh_noise, randomness
from latentbench.testing.families.relaxation import relaxation, temperature
from latentbench.testing.families.shapes import dtypes, rows, shapes
from latentbench.testing.families.subject import FamilySubject, subject
from latentbench.testing.families.trained import state, training

CHECKS = (
    *(shapes, dtypes, rows, support, normalised, distribution, mean, variance, decoded_variance, score),
    *(kl, kl_at_prior, kl_is_positive, gradients, pathwise, temperature, relaxation, randomness, fresh_noise, extremes, state, training),
    *(normal, values),
)

__all__ = ["CHECKS", "FamilySubject", "subject"]
