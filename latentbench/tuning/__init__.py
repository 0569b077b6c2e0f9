"""Tuning: an equal budget of trials for every model of a suite, each an ordinary stored run."""

from latentbench.tuning.tune import Tuned, tune

__all__ = ["Tuned", "tune"]
