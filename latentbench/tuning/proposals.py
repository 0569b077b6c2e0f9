"""What is tried next of a model: optuna's tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter optimization", 2011)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from latentbench.errors import UserError
from latentbench.search import Choices, Range, Space
from latentbench.streams import seed_of
from latentbench.suites.settings import digest

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

MAX_SAMPLER_SEED = 2**32


def check_optuna() -> None:
    """Raise a UserError where optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UserError("`latentbench tune` needs optuna; install the extra: pip install 'latentbench[tune]'") from error


class Proposals:
    """The search of one model: what it proposes depends on the model's settings, its space, and what it was told, in order, alone.

    So it is not stored: told the same again, it proposes the same.

    Args:
        model: the settings that name the model.
        space: what may be tried.
        better: `lower` or `higher`.
    """

    def __init__(self, model: Mapping[str, Any], space: Space, better: str) -> None:
        import optuna
        from optuna.study import StudyDirection

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self.distributions = {key: _distribution(searched) for key, searched in space.items()}
        described = {key: searched.model_dump(mode="json") for key, searched in space.items()}
        seed = seed_of(0, "tune", digest({"model": dict(model), "space": described})) % MAX_SAMPLER_SEED
        direction = StudyDirection.MINIMIZE if better == "lower" else StudyDirection.MAXIMIZE
        self.study: Study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=seed))
        self.asked: Trial | None = None

    def ask(self) -> dict[str, Any]:
        """Values of all settings of the space; `tell` is called before the next."""
        self.asked = self.study.ask(self.distributions)
        return {key: self._tried(key, value) for key, value in self.asked.params.items()}

    def tell(self, value: float | None) -> None:
        """The value of what was asked for last; None where its runs failed."""
        from optuna.trial import TrialState

        assert self.asked is not None, "a trial is asked for before its value is told"
        self.study.tell(self.asked, value, TrialState.FAIL if value is None else None)

    def add(self, settings: Mapping[str, Any], value: float | None) -> None:
        """The value of settings that were not asked for, of which some may be missing."""
        from optuna.trial import TrialState, create_trial

        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        known = {key: self.distributions[key] for key in settings}
        self.study.add_trial(create_trial(state=state, value=value, params=dict(settings), distributions=known))

    def _tried(self, key: str, value: Any) -> Any:
        searched = self.space[key]
        return searched.rounded(value) if isinstance(searched, Range) and not searched.whole else value


def _distribution(searched: Range | Choices) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(searched, Choices):
        return CategoricalDistribution(searched.choices)
    if searched.whole:
        return IntDistribution(int(searched.low), int(searched.high), log=searched.log)
    return FloatDistribution(searched.low, searched.high, log=searched.log)
