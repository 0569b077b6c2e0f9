"""How many arrivals Algorithm 1 draws: n_exp, from the largest rates seen."""

from __future__ import annotations

import torch
from scipy.special import pdtr, pdtrik
from torch import Tensor, nn

COVERAGE = 1 - 1e-5


def arrivals_needed(rate: float) -> int:
    """The smallest n with Poisson cdf(n; rate) >= .99999 (Poisson VAE, section 3), and at least 1, so that small rates get a gradient."""
    n = max(round(float(pdtrik(COVERAGE, rate))) - 1, 0)
    while pdtr(n, rate) < COVERAGE:
        n += 1
    return max(n, 1)


class ArrivalCap(nn.Module):
    """n_exp of the training sampler: from the epoch's mean of each batch's largest rate, updated when an epoch ends.

    In the first epoch it comes from the first batch's largest rate. The statistics stay on the device: they are read there once an epoch.
    """

    peak_sum: Tensor
    batches: Tensor
    n_exp: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("peak_sum", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("n_exp", torch.zeros((), dtype=torch.int64))
        self._known = 0
        self.register_load_state_dict_post_hook(ArrivalCap._read)

    def observe(self, rates: Tensor) -> None:
        """Add a training batch's rates [B, K] to the epoch's statistics."""
        peak = rates.detach().max()
        self.peak_sum += peak
        self.batches += 1
        if not self._known:
            self._set(arrivals_needed(float(peak)))

    def update(self) -> None:
        """Set n_exp from the statistics, and start them anew."""
        if int(self.batches):
            self._set(arrivals_needed(float(self.peak_sum / self.batches)))
            self.peak_sum.zero_()
            self.batches.zero_()

    def n_exp_for(self, rates: Tensor) -> int:
        """n_exp as it stands; before any training batch, what `rates` need."""
        return self._known or arrivals_needed(float(rates.detach().max()))

    def _set(self, n_exp: int) -> None:
        self._known = n_exp
        self.n_exp.fill_(n_exp)

    @staticmethod
    def _read(module: nn.Module, incompatible: object) -> None:
        assert isinstance(module, ArrivalCap)
        module._known = int(module.n_exp)  # kept as a number, so that no step waits for the device
