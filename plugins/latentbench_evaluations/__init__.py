"""Evaluations: the negative ELBO and squared errors, sparsity, active units, readouts of labels, arrays and pictures, sparse inference."""

from latentbench import hookimpl
from latentbench.api import Evaluation
from latentbench_evaluations.active_units import ActiveUnits
from latentbench_evaluations.elbo import Elbo
from latentbench_evaluations.gabor_fit import GaborFitting
from latentbench_evaluations.inference_swap import InferenceSwap
from latentbench_evaluations.pictures import Dictionary, Reconstructions, Samples
from latentbench_evaluations.readout import Knn, LinearProbe, Shattering
from latentbench_evaluations.sparsity import Sparsity
from latentbench_evaluations.spike_counts import SpikeCounts


@hookimpl
def register_evaluations() -> list[type[Evaluation]]:
    """Register them all."""
    return [
        *(Elbo, Sparsity, SpikeCounts, ActiveUnits),
        *(Knn, Shattering, LinearProbe),
        *(Samples, Reconstructions, Dictionary),
        *(GaborFitting, InferenceSwap),
    ]
