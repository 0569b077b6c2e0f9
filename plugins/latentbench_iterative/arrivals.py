"""How many arrivals relaxed counts draw at every step of inference: n_exp, from the largest rates that the steps have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentbench.api import arrivals_needed

REFRESH = 200
"""Batches after which n_exp is set anew; at the start of a run after 1, 2, 4, ... until there are as many."""
FIRST = 10
"""n_exp of every step in the first batch: that of rate 3."""

MAX = 500
"""n_exp at most. Rates above 430 are those of inference that bursts, where a step overshoots and the next falls back; time is not spent on them."""


def arrivals_for(rate: float, tail: float) -> int:
    """The smallest n >= 1 with Poisson cdf(n; rate) >= 1 - tail, at most 500."""
    return MAX if rate > MAX else min(arrivals_needed(rate, tail), MAX)


class StepArrivals(nn.Module):
    """n_exp of q_0, ..., q_T in training, from the mean over the last 200 batches, at first fewer, of the largest rate of each.

    Rates differ from step to step by orders of magnitude, and one n_exp for all would draw mostly arrivals that are too late to count. The sums stay
    on the device and are read there as often as n_exp is set.
    """

    peaks: Tensor
    batches: Tensor
    period: Tensor
    n_exp: Tensor

    def __init__(self, steps: int, tail: float) -> None:
        super().__init__()
        self.tail = tail
        self._take_outside_graphs = torch.compiler.disable(self._take)  # here and no decorator, which would import torch's compiler with the plugin
        self.register_buffer("peaks", torch.zeros(steps + 1, dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("period", torch.ones((), dtype=torch.int64))
        self.register_buffer("n_exp", torch.full((steps + 1,), FIRST, dtype=torch.int64))
        self._read()
        self.register_load_state_dict_post_hook(lambda module, _: module._read())  # type: ignore[no-untyped-call]  # untyped in torch

    def at(self, step: int) -> int:
        """n_exp of q_step; beyond the steps of training, that of the last."""
        n_exp: int = self._n_exp[min(step, len(self._n_exp) - 1)]
        return n_exp

    def observe(self, rates: Sequence[Tensor]) -> None:
        """Take a training batch's rates of q_0, ..., q_T into account, [B, K] each."""
        self._take_outside_graphs(rates)

    def _take(self, rates: Sequence[Tensor]) -> None:
        self.peaks += torch.stack([rate.detach().max() for rate in rates])
        self._batches += 1
        self.batches.fill_(self._batches)
        if self._batches == self._period:
            self._refresh()

    def _refresh(self) -> None:
        for step, peak in enumerate((self.peaks / self._period).tolist()):
            if math.isfinite(peak):  # a run that diverges is stopped by its loss
                self.n_exp[step] = arrivals_for(peak, self.tail)
        self.peaks.zero_()
        self.batches.zero_()
        self.period.fill_(min(2 * self._period, REFRESH))
        self._read()

    def _read(self) -> None:
        """Keep the buffers as numbers, so that no step waits for the device."""
        self._batches, self._period, self._n_exp = int(self.batches), int(self.period), self.n_exp.tolist()
