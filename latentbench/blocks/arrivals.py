"""How many arrivals `relaxed_poisson` draws: n_exp, from the largest rates seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from latentbench.blocks.indicators import Relaxation, reach
from latentbench.blocks.relaxed_poisson import UNLIMITED

TAIL = 1e-5
"""The probability that a count is larger than n_exp."""
MIN_COUNTS = 2
"""A Gumbel-softmax over fewer counts has no gradient."""


def arrivals_needed(rate: float, tail: float = TAIL) -> int:
    """The smallest n with Poisson cdf(n; rate) >= 1 - tail: .99999 in the Poisson VAE (section 3). At least 1, so that small rates get a gradient."""
    from scipy.special import pdtr, pdtrik  # a tenth of a second, which planning has no use for

    n = max(round(float(pdtrik(1 - tail, rate))) - 1, 0)
    while pdtr(n, rate) < 1 - tail:
        n += 1
    return max(n, 1)


class ArrivalCap(nn.Module):
    """n_exp of the training sampler: from the epoch's mean of each batch's largest rate, updated when an epoch ends.

    In the first epoch it comes from the first batch's largest rate. The statistics stay on the device: they are read there once an epoch. With
    `truncate` False all arrivals that matter are drawn: on the CPU until no unit is left, elsewhere as many as twice the largest rate needs. For the
    relaxation `gumbel_softmax` it is the number of counts, from 0 on, which have a weight: at least 2, and bounded always.

    Args:
        truncate: whether arrivals are cut off at n_exp.
        tail: the probability that a count at the largest rate is larger than n_exp.
        per_batch: take the largest of the rates that are sampled, at every step, which makes the host wait for a GPU.
        relaxation: that of the counts.
    """

    peak_sum: Tensor
    batches: Tensor
    peak: Tensor

    def __init__(self, truncate: bool = True, tail: float = TAIL, per_batch: bool = False, relaxation: Relaxation = "sigmoid") -> None:
        super().__init__()
        self.truncate, self.tail, self.per_batch, self.relaxation = truncate, tail, per_batch, relaxation
        self.register_buffer("peak_sum", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("peak", torch.zeros((), dtype=torch.float64))
        self._read()
        self.register_load_state_dict_post_hook(lambda module, _: module._read())  # type: ignore[no-untyped-call]  # untyped in torch

    def observe(self, rates: Tensor) -> None:
        """Add a training batch's rates [B, K] to the epoch's statistics."""
        largest = rates.detach().max()
        self.peak_sum += largest
        self.batches += 1
        if not self._peak:
            self._set(float(largest))

    def update(self) -> None:
        """Take over the mean of the largest rates, and start it anew."""
        if int(self.batches):
            self._set(float(self.peak_sum / self.batches))
            self.peak_sum.zero_()
            self.batches.zero_()

    def n_exp_for(self, rates: Tensor, temperature: float) -> int:
        """n_exp as it stands; before any training batch, or with `per_batch`, what `rates` need."""
        if self.relaxation == "gumbel_softmax":
            return max(self._from(rates), MIN_COUNTS)
        if self.truncate:
            return self._from(rates)
        if rates.device.type == "cpu":
            return UNLIMITED
        return self._needed(2 * (self._peak or float(rates.detach().max())) * reach(temperature, rates.dtype, self.relaxation))

    def _from(self, rates: Tensor) -> int:
        return self._needed(float(rates.detach().max())) if self.per_batch or not self._n_exp else self._n_exp

    def _needed(self, rate: float) -> int:
        return arrivals_needed(rate, self.tail)

    def _set(self, peak: float) -> None:
        if math.isfinite(peak):  # a run that diverges is stopped by its loss
            self.peak.fill_(peak)
            self._read()

    def _read(self) -> None:
        """Keep the buffer as a number, so that no step waits for the device."""
        self._peak = float(self.peak)
        self._n_exp = self._needed(self._peak) if self._peak else 0
