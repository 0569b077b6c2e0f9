"""The laws of networks."""

from latentbench.testing.networks.contract import extremes, gradients, linear, rows, shapes
from latentbench.testing.networks.state import randomness, state
from latentbench.testing.networks.subject import NetworkSubject, subject

CHECKS = (shapes, rows, gradients, linear, extremes, randomness, state)

__all__ = ["CHECKS", "NetworkSubject", "subject"]
