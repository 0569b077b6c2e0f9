"""`ista`: iterative shrinkage-thresholding (Daubechies et al. 2004), and its accelerated form FISTA (Beck & Teboulle 2009)."""

from __future__ import annotations

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from latentbench import hookimpl
from latentbench.api import Assembly, Family, Options, SparseCoder, SparseCodingOptions, batches, soft_threshold

CHECK_EVERY = 5
"""Iterations between two checks of how much codes still change."""


class IstaOptions(SparseCodingOptions):
    """Options of `ista`."""

    accelerated: bool = Field(False, description="FISTA: steps from a point beyond the last, with restarts.")
    restart: bool = Field(True, description="Whether FISTA drops its momentum where that leads uphill.")

    @field_validator("restart")
    @classmethod
    def _means_nothing_without_momentum(cls, restart: bool, info: ValidationInfo) -> bool:
        """Without acceleration it is at its default, so that one meaning is one run."""
        return restart if info.data.get("accelerated") else True


def infer(
    images: Tensor,
    dictionary: Tensor,
    l1: float,
    *,
    iterations: int,
    accelerated: bool = True,
    restart: bool = True,
    non_negative: bool = True,
    tolerance: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Codes by iterative shrinkage-thresholding, from 0.

    z <- T(y + Phi' (x - Phi y) / L), the soft threshold at lambda / L, with L the largest eigenvalue of Phi' Phi. y is z; or, accelerated,
    z + (t - 1) / t' (z - z_before) with t' = (1 + sqrt(1 + 4 t^2)) / 2 (Beck & Teboulle 2009, eqs. 4.1 to 4.3). With restarts t starts again from
    1 for an image whose momentum points uphill, (y - z)' (z - z_before) > 0 (O'Donoghue & Candes 2015, eq. 13).

    Args:
        images: [B, M], flat.
        dictionary: [M, K], columns of any norm.
        l1: lambda.
        iterations: how many steps.
        accelerated: whether steps have momentum.
        restart: whether momentum is dropped where it leads uphill.
        non_negative: whether codes are cut at 0 after the threshold, as in the paper.
        tolerance: end when no code changes by more in a step; 0 goes through all iterations.
        dtype: of the product of codes with the Gram matrix, where it is to be another than the images' (bfloat16).

    Returns:
        z, [B, K].
    """
    gram = dictionary.T @ dictionary
    lipschitz = float(torch.linalg.eigvalsh(gram)[-1]) or 1.0  # a dictionary of zeros has no use for a step
    drive, gram = images @ dictionary / lipschitz, gram / lipschitz
    gram = gram if dtype is None else gram.to(dtype)
    codes = torch.zeros_like(drive)
    for part in batches(drive):
        _shrink(drive[part], gram, l1 / lipschitz, iterations, accelerated, restart, non_negative, tolerance, codes[part])
    return codes


def _shrink(
    drive: Tensor, gram: Tensor, l1: float, iterations: int, accelerated: bool, restart: bool, non_negative: bool, tolerance: float, z: Tensor
) -> None:
    """Write the codes for Phi' x / L [B, K], Phi' Phi / L [K, K] and lambda / L to `z`, which holds the first ones."""
    y, moved, new = z.clone(), torch.empty_like(z), torch.empty_like(z)
    t = torch.ones(len(z), 1, dtype=z.dtype, device=z.device)
    for step in range(iterations):
        if gram.dtype == y.dtype:
            torch.addmm(drive, y, gram, alpha=-1, out=moved).add_(y)
        else:
            torch.add(drive, y, out=moved).sub_(y.to(gram.dtype) @ gram)
        soft_threshold(moved, l1, non_negative, new)
        change = z.sub_(new)  # z_before - z: the step, backwards
        if accelerated:
            if restart:
                uphill = (y.sub_(new) * change).sum(1, keepdim=True) < 0
                t.masked_fill_(uphill, 1.0)
            following = (1 + (1 + 4 * t.square()).sqrt()) / 2
            torch.addcmul(new, change, (1 - t) / following, out=y)
            t = following
        else:
            y.copy_(new)
        small = tolerance > 0 and step % CHECK_EVERY == CHECK_EVERY - 1 and float(change.abs().max()) <= tolerance
        z.copy_(new)
        if small:
            break


class Ista(SparseCoder):
    """Sparse coding with iterative shrinkage-thresholding."""

    name = "ista"
    options_model = IstaOptions

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, IstaOptions)
        self.options = options

    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """Codes [B, K]."""
        o = self.options
        how = {"iterations": o.iterations, "accelerated": o.accelerated, "restart": o.restart, "tolerance": o.tolerance}
        return infer(images, dictionary, float(self.l1), **how, non_negative=o.non_negative, dtype=self.product_dtype)  # type: ignore[arg-type]  # each has its type


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `ista`."""
    return [Ista]
