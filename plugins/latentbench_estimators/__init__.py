"""Gradient estimators: in closed form, through samples, by their score, and of multi-sample bounds."""

from latentbench import hookimpl
from latentbench.api import Estimator
from latentbench_estimators.bounds import Iwae, Vimco
from latentbench_estimators.exact import Enumeration, Exact
from latentbench_estimators.reinmax import ReinMax
from latentbench_estimators.sampled import HardForward, MonteCarlo, StraightThrough
from latentbench_estimators.score import Score
from latentbench_estimators.several import Rloo, VarGrad


@hookimpl
def register_estimators() -> list[type[Estimator]]:
    """Register them all."""
    return [Exact, Enumeration, MonteCarlo, StraightThrough, HardForward, ReinMax, Score, Rloo, VarGrad, Iwae, Vimco]
