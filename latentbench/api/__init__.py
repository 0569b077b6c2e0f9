"""The door for authors of parts: families, estimators, likelihoods, networks, data sets and evaluations need nothing of latentbench but this.

What is here keeps its name and meaning; everything else in `latentbench` may change. Hooks are marked with `latentbench.hookimpl`, which imports no
torch; `latentbench.api.engines` is the door for authors of engines.
"""

from latentbench.data.cache import cached
from latentbench.data.dataset import DataSet, Pixels, Progress, Split, Splits, silent
from latentbench.data.source_files import Source
from latentbench.errors import UserError
from latentbench.evaluation.contract import Evaluation
from latentbench.evaluation.outcome import Metric, Outcome, PerUnit
from latentbench.evaluation.trained import Trained
from latentbench.files import sha256_of
from latentbench.measure import Measure
from latentbench.models.codes import Code, PointCode, Posterior
from latentbench.models.estimator import Estimator
from latentbench.models.family import AmortisedFamily, Family, IterativeFamily
from latentbench.models.likelihood import Likelihood
from latentbench.models.location_scale import LocationScaleFamily
from latentbench.models.network import Network, dictionary_of
from latentbench.models.objective import Loss, Step
from latentbench.models.sparse_coding import SparseCoder, SparseCodingOptions, batches, soft_threshold
from latentbench.models.torch_family import TorchFamily, TorchPosterior
from latentbench.neutral import added
from latentbench.part import Assembly, Options, Part
from latentbench.streams import forked, seed_of, stream

__all__ = [
    "AmortisedFamily",
    "Assembly",
    "Code",
    "DataSet",
    "Estimator",
    "Evaluation",
    "Family",
    "IterativeFamily",
    "Likelihood",
    "LocationScaleFamily",
    "Loss",
    "Measure",
    "Metric",
    "Network",
    "Options",
    "Outcome",
    "Part",
    "PerUnit",
    "Pixels",
    "PointCode",
    "Posterior",
    "Progress",
    "Source",
    "SparseCoder",
    "SparseCodingOptions",
    "Split",
    "Splits",
    "Step",
    "TorchFamily",
    "TorchPosterior",
    "Trained",
    "UserError",
    "added",
    "batches",
    "cached",
    "dictionary_of",
    "forked",
    "seed_of",
    "sha256_of",
    "silent",
    "soft_threshold",
    "stream",
]
