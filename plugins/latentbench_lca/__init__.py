"""`lca`: the locally competitive algorithm (Rozell et al. 2008), with a soft threshold, optionally in the implementation of lca-pytorch."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from latentbench import hookimpl
from latentbench.api import Assembly, Family, Options, SparseCoder, SparseCodingOptions, batches, soft_threshold
from latentbench_lca.reference import infer_with_lcapt, why_no_lcapt

CHECK_EVERY = 10
"""Iterations between two checks of how much codes still change."""


class LcaOptions(SparseCodingOptions):
    """Options of `lca`."""

    tau: float = Field(100.0, ge=1, description="Time constant of the membrane, in iterations.")
    backend: Literal["native", "lcapt"] = Field("native", description="`lcapt`: lca-pytorch's LCAConv1D, if it is installed; never in bfloat16.")


def infer(
    images: Tensor,
    dictionary: Tensor,
    l1: float,
    *,
    iterations: int,
    tau: float,
    non_negative: bool = True,
    tolerance: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Codes by the locally competitive algorithm.

    Membrane potentials u follow tau du/dt = Phi' x - u - (Phi' Phi - 1) a with a = T(u), the soft threshold at lambda. Where they rest, a is an
    optimum of 1/2 |x - Phi a|^2 + lambda |a|_1 (Rozell et al. 2008, eqs. 2.3 and 2.8).

    An iteration is that of lca-pytorch: a = T(u), from u = 0, and then an Euler step of u. The codes are the a of the last one, so after
    `iterations` of them u has taken `iterations` - 1 steps that count, and a single iteration gives codes of 0.

    Args:
        images: [B, M], flat.
        dictionary: [M, K], columns of unit norm.
        l1: lambda.
        iterations: how many, at least 1.
        tau: the time constant in iterations.
        non_negative: whether the threshold lets no negative potential through.
        tolerance: end when no potential changes by more than this / tau in a step; 0 goes through all iterations.
        dtype: of the product of codes with the Gram matrix, where it is to be another than the images' (bfloat16).

    Returns:
        a, [B, K].
    """
    unit = torch.eye(dictionary.shape[1], dtype=dictionary.dtype, device=dictionary.device)
    lateral = (dictionary.T @ dictionary - unit) / tau
    lateral = lateral if dtype is None else lateral.to(dtype)
    drive = images @ dictionary / tau
    codes = torch.empty_like(drive)
    for part in batches(drive):
        _compete(drive[part], lateral, l1, iterations, 1 - 1 / tau, non_negative, tolerance / tau, codes[part])
    return codes


def _compete(drive: Tensor, lateral: Tensor, l1: float, iterations: int, leak: float, non_negative: bool, least_change: float, a: Tensor) -> None:
    """Write the codes for a drive [B, K] / tau and lateral weights [K, K] / tau to `a`; nothing is allocated on the way.

    The step of u that ends the last iteration reaches no code, so it is not taken.
    """
    u = torch.zeros_like(drive)
    before = torch.empty_like(u) if least_change else None
    for step in range(iterations - 1):
        soft_threshold(u, l1, non_negative, a)
        looks = before is not None and step % CHECK_EVERY == CHECK_EVERY - 1
        if before is not None and looks:
            before.copy_(u)
        if lateral.dtype == u.dtype:
            u.addmm_(a, lateral, beta=leak, alpha=-1).add_(drive)
        else:
            u.mul_(leak).add_(drive).sub_(a.to(lateral.dtype) @ lateral)
        if before is not None and looks and float(before.sub_(u).abs_().max()) <= least_change:
            break
    soft_threshold(u, l1, non_negative, a)


class Lca(SparseCoder):
    """Sparse coding with the locally competitive algorithm."""

    name = "lca"
    version = "2"
    options_model = LcaOptions

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, LcaOptions)
        self.options = options

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """The backend must be installed."""
        assert isinstance(options, LcaOptions)
        missing = why_no_lcapt() if options.backend == "lcapt" else None
        return missing or super().inapplicable(assembly, options)

    @classmethod
    def ignored(cls, assembly: Assembly, options: Options) -> frozenset[str]:
        """lca-pytorch goes through all iterations."""
        assert isinstance(options, LcaOptions)
        return cls.ignores | ({"family_options.tolerance"} if options.backend == "lcapt" else set())

    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """Codes [B, K]."""
        o, l1 = self.options, float(self.l1)
        if o.backend == "lcapt":
            return infer_with_lcapt(images, dictionary, l1, iterations=o.iterations, tau=o.tau, non_negative=o.non_negative)
        how = {"iterations": o.iterations, "tau": o.tau, "non_negative": o.non_negative, "tolerance": o.tolerance}
        return infer(images, dictionary, l1, **how, dtype=self.product_dtype)  # type: ignore[arg-type]  # each has its type


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `lca`."""
    return [Lca]
