"""Fair suites: an equal number of trials for every model, and equal seconds of training."""

from latentbench.tuning.budget import budget
from latentbench.tuning.pace import Paced
from latentbench.tuning.tune import Tuned, tune

__all__ = ["Paced", "Tuned", "budget", "tune"]
