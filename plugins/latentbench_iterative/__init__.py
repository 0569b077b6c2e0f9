"""Iterative VAEs: posteriors inferred by unrolled natural-gradient steps through the decoder (Vafaii, Galor & Yates, NeurIPS 2025)."""

from __future__ import annotations

from latentbench import hookimpl
from latentbench.api import Evaluation, Family
from latentbench_iterative.dynamics import InferenceDynamics
from latentbench_iterative.gaussian import IterativeGaussian, IterativeGaussianRelu
from latentbench_iterative.poisson import IterativePoisson


@hookimpl
def register_families() -> list[type[Family]]:
    """Register all three."""
    return [IterativePoisson, IterativeGaussian, IterativeGaussianRelu]


@hookimpl
def register_evaluations() -> list[type[Evaluation]]:
    """Register `inference_dynamics`."""
    return [InferenceDynamics]
