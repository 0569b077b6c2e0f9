"""The laws of sparse coders."""

from latentbench.testing.point_families.dictionary import constraint, gradient, schedule
from latentbench.testing.point_families.inference import non_negative, optimum, zero_code
from latentbench.testing.point_families.repeated import randomness, rows, state, training
from latentbench.testing.point_families.shapes import costs, extremes, shapes
from latentbench.testing.point_families.subject import PointSubject, subject

CHECKS = (shapes, costs, extremes, rows, zero_code, optimum, non_negative, gradient, constraint, schedule, randomness, state, training)

__all__ = ["CHECKS", "PointSubject", "subject"]
