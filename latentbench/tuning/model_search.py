"""The search of one model: what is tried next, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentbench.tuning.models import Model
from latentbench.tuning.proposals import Proposals
from latentbench.tuning.trials import Searched, Trial


class ModelSearch:
    """First the suite's own settings, then what optuna proposes; a model with nothing to search has the first trial alone.

    Args:
        model: the model.
        better: `lower` or `higher` values.
    """

    def __init__(self, model: Model, better: str) -> None:
        self.found = Searched(model, better)
        self.proposals = Proposals(model.settings, model.space, better)
        self.tried: Mapping[str, Any] = {}
        self.possible = True

    def propose(self) -> Mapping[str, Any]:
        """The settings of the next round: a proposal, or the suite's own, which are stored already, where there is no valid one."""
        self.tried = self.proposals.ask() if self._searching else {}
        self.possible = self.found.model.possible(self.tried)
        return self.tried if self.possible else {}

    def tell(self, value: float | None) -> None:
        """The value in the round of what was proposed; None where its runs failed."""
        known = value if self.possible else None
        if self._searching:
            self.proposals.tell(known)
        elif not self.found.trials:
            self.proposals.add(self.found.model.untuned, known)
        else:
            return
        self.found.trials.append(Trial(self.tried, known))

    @property
    def _searching(self) -> bool:
        return bool(self.found.trials and self.found.model.space)
