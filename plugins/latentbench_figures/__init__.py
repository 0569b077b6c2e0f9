"""The figures of the Poisson VAE paper, and some of our own, drawn from stored results."""

from latentbench import hookimpl
from latentbench.reporting import Figure
from latentbench_figures.counts import RelaxedCounts
from latentbench_figures.dead import DeadUnits
from latentbench_figures.dictionaries import Dictionaries, Pictures
from latentbench_figures.drops import RelativeDrop
from latentbench_figures.dynamics import InferenceDynamics
from latentbench_figures.forest import Forest
from latentbench_figures.gradients import Gradients
from latentbench_figures.metabolic import MetabolicCost
from latentbench_figures.plane import RateDistortion
from latentbench_figures.probe import LinearProbe
from latentbench_figures.recovery import RecoveryFigure
from latentbench_figures.sparsity import ErrorAndSparsity, InferenceSwap
from latentbench_figures.sweeps import FinalTemperature, LatentDimensions
from latentbench_figures.training import TrainingCurves
from latentbench_figures.tuning import V1Card


@hookimpl
def register_figures() -> list[type[Figure]]:
    """The figures."""
    return [
        *(RelaxedCounts, Dictionaries, ErrorAndSparsity, InferenceSwap, RelativeDrop, LatentDimensions, FinalTemperature),
        *(DeadUnits, LinearProbe, Pictures, TrainingCurves, RateDistortion, Forest),
        *(RecoveryFigure, MetabolicCost, V1Card, Gradients, InferenceDynamics),
    ]
