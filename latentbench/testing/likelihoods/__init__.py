"""The laws of likelihoods."""

from latentbench.testing.likelihoods.contract import shapes, state
from latentbench.testing.likelihoods.costs import constant, extremes, gradient, per_image, quadratic
from latentbench.testing.likelihoods.density import mean, normalised
from latentbench.testing.likelihoods.integrals import max_log_prob, noise_variance
from latentbench.testing.likelihoods.subject import LikelihoodSubject, subject

CHECKS = (shapes, normalised, mean, per_image, constant, gradient, quadratic, noise_variance, max_log_prob, extremes, state)

__all__ = ["CHECKS", "LikelihoodSubject", "subject"]
