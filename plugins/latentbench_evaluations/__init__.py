"""Evaluations: costs, ln p(x), gradients, sparsity and activity, readouts of labels, pictures, tuning, sparse inference, known causes."""

from latentbench import hookimpl
from latentbench.api import Evaluation
from latentbench_evaluations.active_units import ActiveUnits
from latentbench_evaluations.amortisation_gap import AmortisationGap
from latentbench_evaluations.elbo import Elbo
from latentbench_evaluations.gabor_fit import GaborFitting
from latentbench_evaluations.gradient_quality import GradientQuality
from latentbench_evaluations.inference_swap import InferenceSwap
from latentbench_evaluations.log_likelihood import LogLikelihood
from latentbench_evaluations.pictures import Dictionary, Reconstructions, Samples
from latentbench_evaluations.posterior_mean import PosteriorMean
from latentbench_evaluations.rate_distortion import RateDistortion
from latentbench_evaluations.readout import Knn, LinearProbe, Shattering
from latentbench_evaluations.recovery import Recovery
from latentbench_evaluations.sparsity import Sparsity
from latentbench_evaluations.spike_counts import SpikeCounts
from latentbench_evaluations.tuning import Tuning


@hookimpl
def register_evaluations() -> list[type[Evaluation]]:
    """Register them all."""
    return [
        *(Elbo, Sparsity, SpikeCounts, PosteriorMean, ActiveUnits),
        *(Knn, Shattering, LinearProbe),
        *(Samples, Reconstructions, Dictionary),
        *(GaborFitting, Tuning, InferenceSwap, Recovery, GradientQuality),
        *(LogLikelihood, AmortisationGap, RateDistortion),
    ]
