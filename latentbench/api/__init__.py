"""The door for authors of parts: families, estimators, likelihoods, networks, data sets and evaluations need nothing of latentbench but this.

What is here keeps its name and meaning; everything else in `latentbench` may change. Hooks are marked with `latentbench.hookimpl`, which imports no
torch; `latentbench.api.engines` is the door for authors of engines.
"""

from latentbench.blocks.arrivals import ArrivalCap, arrivals_needed
from latentbench.blocks.exponential import exponential
from latentbench.blocks.indicators import Relaxation
from latentbench.blocks.lasso import batches, kkt_residual, soft_threshold
from latentbench.blocks.lasso_exact import LassoCodes, solve_lasso
from latentbench.blocks.lasso_gap import duality_gap
from latentbench.blocks.lasso_ista import lasso_ista
from latentbench.blocks.lasso_lca import lasso_lca
from latentbench.blocks.limits import softly_below, softly_within
from latentbench.blocks.logarithm import log_in_place
from latentbench.blocks.logistic import LogisticFit, dichotomies, fit_dichotomies
from latentbench.blocks.relaxed_categorical import gumbel_noise, relaxed_and_hard_categorical, relaxed_categorical, sample_categorical
from latentbench.blocks.relaxed_poisson import UNLIMITED, relaxed_and_hard_poisson, relaxed_poisson
from latentbench.blocks.seeded import seeded
from latentbench.blocks.smoothing import effective_width
from latentbench.data.cache import cached
from latentbench.data.dataset import DataSet, Pixels, Progress, Split, Splits, silent
from latentbench.data.source_files import Source
from latentbench.errors import UserError
from latentbench.evaluation.contract import Evaluation, EvaluationOptions, SplitName
from latentbench.evaluation.outcome import Metric, Outcome, PerImage, PerUnit
from latentbench.evaluation.trained import Trained
from latentbench.files import sha256_of
from latentbench.measure import Measure
from latentbench.models.codes import Code, PointCode, Posterior, estimate_kl
from latentbench.models.estimator import Estimator
from latentbench.models.family import AmortisedFamily, Family, Inference, PointFamily
from latentbench.models.iterative import Iterate, IteratedPosterior, IterativeFamily, IterativeOptions
from latentbench.models.likelihood import Likelihood
from latentbench.models.location_scale import LearnedPriorOptions, LocationScaleFamily
from latentbench.models.network import Network, dictionary_of
from latentbench.models.objective import Loss, Step
from latentbench.models.sparse_coding import L1Options, L1Schedule, SparseCode, SparseCoder, SparseCodingOptions
from latentbench.models.torch_family import TorchFamily, TorchPosterior
from latentbench.neutral import added
from latentbench.part import Assembly, Options, Part
from latentbench.search import Choices, Range
from latentbench.streams import forked, seed_of, stream

__all__ = [
    "UNLIMITED",
    "AmortisedFamily",
    "ArrivalCap",
    "Assembly",
    "Choices",
    "Code",
    "DataSet",
    "Estimator",
    "Evaluation",
    "EvaluationOptions",
    "Family",
    "Inference",
    "Iterate",
    "IteratedPosterior",
    "IterativeFamily",
    "IterativeOptions",
    "L1Options",
    "L1Schedule",
    "LassoCodes",
    "LearnedPriorOptions",
    "Likelihood",
    "LocationScaleFamily",
    "LogisticFit",
    "Loss",
    "Measure",
    "Metric",
    "Network",
    "Options",
    "Outcome",
    "Part",
    "PerImage",
    "PerUnit",
    "Pixels",
    "PointCode",
    "PointFamily",
    "Posterior",
    "Progress",
    "Range",
    "Relaxation",
    "Source",
    "SparseCode",
    "SparseCoder",
    "SparseCodingOptions",
    "Split",
    "SplitName",
    "Splits",
    "Step",
    "TorchFamily",
    "TorchPosterior",
    "Trained",
    "UserError",
    "added",
    "arrivals_needed",
    "batches",
    "cached",
    "dichotomies",
    "dictionary_of",
    "duality_gap",
    "effective_width",
    "estimate_kl",
    "exponential",
    "fit_dichotomies",
    "forked",
    "gumbel_noise",
    "kkt_residual",
    "lasso_ista",
    "lasso_lca",
    "log_in_place",
    "relaxed_and_hard_categorical",
    "relaxed_and_hard_poisson",
    "relaxed_categorical",
    "relaxed_poisson",
    "sample_categorical",
    "seed_of",
    "seeded",
    "sha256_of",
    "silent",
    "soft_threshold",
    "softly_below",
    "softly_within",
    "solve_lasso",
    "stream",
]
