"""How many arrivals Algorithm 1 draws: n_exp, from the largest rates seen."""

from __future__ import annotations

import math

import torch
from scipy.special import pdtr, pdtrik
from torch import Tensor, nn

from latentbench_poisson.sampler import UNLIMITED, reach

COVERAGE = 1 - 1e-5


def arrivals_needed(rate: float) -> int:
    """The smallest n with Poisson cdf(n; rate) >= .99999 (Poisson VAE, section 3), and at least 1, so that small rates get a gradient."""
    n = max(round(float(pdtrik(COVERAGE, rate))) - 1, 0)
    while pdtr(n, rate) < COVERAGE:
        n += 1
    return max(n, 1)


class ArrivalCap(nn.Module):
    """n_exp of the training sampler: from the epoch's mean of each batch's largest rate, updated when an epoch ends.

    In the first epoch it comes from the first batch's largest rate. The statistics stay on the device: they are read there once an epoch. With
    `truncate` False all arrivals that matter are drawn: on the CPU until no unit is left, elsewhere as many as twice the largest rate needs.
    """

    peak_sum: Tensor
    batches: Tensor
    peak: Tensor

    def __init__(self, truncate: bool = True) -> None:
        super().__init__()
        self.truncate = truncate
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
        """n_exp as it stands; before any training batch, what `rates` need."""
        if self.truncate:
            return self._n_exp or arrivals_needed(float(rates.detach().max()))
        if rates.device.type == "cpu":
            return UNLIMITED
        return arrivals_needed(2 * (self._peak or float(rates.detach().max())) * reach(temperature, rates.dtype))

    def _set(self, peak: float) -> None:
        if math.isfinite(peak):  # a run that diverges is stopped by its loss
            self.peak.fill_(peak)
            self._read()

    def _read(self) -> None:
        """Keep the buffer as a number, so that no step waits for the device."""
        self._peak = float(self.peak)
        self._n_exp = arrivals_needed(self._peak) if self._peak else 0
