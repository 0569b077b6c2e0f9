"""Evaluations: `elbo`, `sparsity`, `active_units`."""

from latentbench import hookimpl
from latentbench.evaluation import Evaluation
from latentbench_evaluations.active_units import ActiveUnits
from latentbench_evaluations.elbo import Elbo
from latentbench_evaluations.sparsity import Sparsity


@hookimpl
def register_evaluations() -> list[type[Evaluation]]:
    """Register all of them."""
    return [Elbo, Sparsity, ActiveUnits]
