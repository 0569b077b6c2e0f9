"""The laws of families that infer a posterior in steps through the decoder."""

from latentbench.testing.iterative_families.inference import divergence, moments
from latentbench.testing.iterative_families.repeated import randomness, state
from latentbench.testing.iterative_families.shapes import costs, dtypes, shapes
from latentbench.testing.iterative_families.subject import IterativeSubject, subject
from latentbench.testing.iterative_families.trained import descent, through_steps, training

CHECKS = (shapes, dtypes, costs, moments, divergence, through_steps, randomness, state, training, descent)

__all__ = ["CHECKS", "IterativeSubject", "subject"]
