"""Metrics that leaderboards compute from stored ones."""

from latentbench import hookimpl
from latentbench.reporting import Derived
from latentbench_derived.best_of_sweep import BestOfSweep
from latentbench_derived.labels import LabelEfficiency, LabelsToReach
from latentbench_derived.percent_drop import PercentDrop
from latentbench_derived.sparsity import SparsityAtError, SparsityGain
from latentbench_derived.spread import Spread
from latentbench_derived.width import EffectiveWidth


@hookimpl
def register_derived() -> list[type[Derived]]:
    """The derived metrics."""
    return [PercentDrop, SparsityAtError, SparsityGain, LabelsToReach, LabelEfficiency, BestOfSweep, Spread, EffectiveWidth]
