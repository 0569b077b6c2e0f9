"""Gradient estimators: `exact`, `mc`, `straight_through` and `hard_forward`."""

from latentbench import hookimpl
from latentbench.api import Estimator
from latentbench_estimators.exact import Exact
from latentbench_estimators.sampled import HardForward, MonteCarlo, StraightThrough


@hookimpl
def register_estimators() -> list[type[Estimator]]:
    """Register all four."""
    return [Exact, MonteCarlo, StraightThrough, HardForward]
