"""How good relaxations of Poisson counts are, without a trained model: a study of their moments and distances, and its figure."""

from latentbench import hookimpl
from latentbench.reporting import Figure, Study
from latentbench_relaxations.figure import RelaxationQualityFigure
from latentbench_relaxations.quality import RelaxationQuality


@hookimpl
def register_studies() -> list[type[Study]]:
    """Register `relaxation_quality`."""
    return [RelaxationQuality]


@hookimpl
def register_figures() -> list[type[Figure]]:
    """Register the figure `relaxation_quality`."""
    return [RelaxationQualityFigure]
