"""Inference with lca-pytorch, which has no package release: only its git repository, imported as `lcapt`."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec

import torch
from torch import Tensor

HOW = "pip install 'lcapt @ git+https://github.com/lanl/lca-pytorch.git', or the extra `lcapt` of latentbench"


def why_no_lcapt() -> str | None:
    """Why lca-pytorch cannot be used, and how to get it; None where it can."""
    return None if find_spec("lcapt") else f"lca-pytorch (import name lcapt) is not installed; {HOW}"


def infer_with_lcapt(images: Tensor, dictionary: Tensor, l1: float, *, iterations: int, tau: float, non_negative: bool) -> Tensor:
    """Codes [B, K] by lca-pytorch's LCAConv1D, every pixel a channel of an image of length 1, as the authors use it.

    Args:
        images: [B, M], flat; they are not standardised.
        dictionary: [M, K].
        l1: lambda.
        iterations: iterations of inference.
        tau: time constant.
        non_negative: whether codes are kept from being negative.
    """
    from lcapt.lca import LCAConv1D

    pixels, elements = dictionary.shape
    with tempfile.TemporaryDirectory() as folder:
        lca = LCAConv1D(
            out_neurons=elements,
            in_neurons=pixels,
            result_dir=folder,
            kernel_size=1,
            stride=1,
            lambda_=l1,
            tau=tau,
            lca_iters=iterations,
            nonneg=non_negative,
            track_metrics=False,
            return_vars=["acts"],
            input_zero_mean=False,
            input_unit_var=False,
            dtype=images.dtype,
        ).to(images.device)
        lca.assign_weight_values(dictionary.T.unsqueeze(-1).clone())  # [K, M, 1]
        with torch.no_grad():
            acts = lca(images.unsqueeze(-1))
    codes: Tensor = acts[0] if isinstance(acts, (tuple, list)) else acts
    return codes.reshape(len(images), elements)
