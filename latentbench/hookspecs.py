"""The hooks of latentbench: all that a plugin can add, one hook a kind.

A plugin is an importable module that the entry-point group `latentbench` names (key = module name). Each function below is called once, when
plugins are loaded, and returns a list of classes; the base class named in the signature is the contract. A plugin that breaks a rule here or of
`latentbench.declared` is left out as a whole.
"""

import pluggy

from latentbench.data.dataset import DataSet
from latentbench.engine import Engine
from latentbench.evaluation.contract import Evaluation
from latentbench.models.estimator import Estimator
from latentbench.models.family import Family
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import Network

hookspec = pluggy.HookspecMarker("latentbench")


@hookspec
def register_families() -> list[type[Family]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Latent families: how an image becomes a code. Called when plugins are loaded; a run builds one instance."""


@hookspec
def register_estimators() -> list[type[Estimator]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Gradient estimators for amortised families. Called when plugins are loaded; a run builds one instance."""


@hookspec
def register_likelihoods() -> list[type[Likelihood]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Likelihoods p(image | code). Called when plugins are loaded; a run builds one instance."""


@hookspec
def register_networks() -> list[type[Network]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Networks, each an encoder, a decoder or both. Called when plugins are loaded; a run builds its encoder and decoder from them."""


@hookspec
def register_datasets() -> list[type[DataSet]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Data sets. Called when plugins are loaded; the plan asks for their source hashes, a run loads their images."""


@hookspec
def register_evaluations() -> list[type[Evaluation]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Evaluations of a trained model. Called when plugins are loaded; each runs after training, on the stored model."""


@hookspec
def register_engines() -> list[type[Engine]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Engines: where runs are executed. Called when plugins are loaded; an invocation builds one instance."""
