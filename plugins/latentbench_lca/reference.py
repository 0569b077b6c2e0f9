"""Inference with lca-pytorch, which has no package release: only its git repository, imported as `lcapt`."""

from __future__ import annotations

import tempfile
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor, nn

HOW = "pip install 'lcapt @ git+https://github.com/lanl/lca-pytorch.git', or the extra `lcapt` of latentbench"


def why_no_lcapt() -> str | None:
    """Why lca-pytorch cannot be used, and how to get it; None where it can."""
    if not find_spec("lcapt"):
        return f"lca-pytorch (import name lcapt) is not installed; {HOW}"
    try:
        import_module("lcapt.lca")
    except Exception as error:  # it imports torchvision and matplotlib, which can fail in any way beside another torch
        return f"lca-pytorch (import name lcapt) is installed, but cannot be imported: {type(error).__name__}: {error}"
    return None


def infer_with_lcapt(images: Tensor, dictionary: Tensor, l1: float, *, iterations: int, tau: float, non_negative: bool) -> Tensor:
    """Codes [B, K] by lca-pytorch's LCAConv1D, every pixel a channel of an image of length 1, as the authors use it.

    Nothing of it is left behind: its file of parameters goes to a folder that is removed, its initial weights, which are replaced, are zeros
    rather than drawn from torch's global state, and cuDNN's choice of algorithms stays as it is.

    Args:
        images: [B, M], flat, float32 or float64; they are not standardised.
        dictionary: [M, K], columns of unit norm, in the images' dtype, in which everything is computed.
        l1: lambda.
        iterations: iterations of inference.
        tau: time constant.
        non_negative: whether codes are kept from being negative.
    """
    from lcapt.lca import LCAConv1D

    pixels, elements = dictionary.shape
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        lca = LCAConv1D(
            out_neurons=elements,
            in_neurons=pixels,
            result_dir=folder,
            kernel_size=1,
            stride=1,
            lambda_=l1,
            tau=tau,
            lca_iters=iterations,
            return_vars=["acts"],
            nonneg=non_negative,
            track_metrics=False,
            input_zero_mean=False,
            input_unit_var=False,
            cudnn_benchmark=False,
            weight_init=(nn.init.zeros_, {}),
        )
        lca.to(images.device, images.dtype)  # made in torch's default dtype, and it takes weights in no other than it has
        lca.assign_weight_values(dictionary.T.unsqueeze(-1), normalize=False)  # [K, M, 1]
        codes: Tensor = lca(images.unsqueeze(-1)).squeeze(-1)
    return codes
