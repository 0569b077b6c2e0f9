"""How numbers are computed: switches of torch that are set on purpose, the same for every run of one precision and device."""

from __future__ import annotations

import os
from typing import Any

import torch

VERSION = "2"
"""Of the switches and kernels on CUDA devices; raised when results there change. It is part of the identity of runs on CUDA."""
WORKSPACE = ":4096:8"
"""The workspace with which cuBLAS gives the same numbers every time (NVIDIA, cuBLAS: results reproducibility)."""


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of parameters, by a run's `dtype`; TF32 is float32 whose products are rounded."""
    return torch.float32 if name == "tf32" else getattr(torch, name)


def set_numerics(dtype: str, device: str) -> dict[str, Any]:
    """Set the switches for a run of `dtype` on `device` (`cpu` or `cuda:N`) in this process; return them for its row.

    One thread, as results are compared bit for bit. float32 means float32: products and convolutions are rounded to TF32 only where `dtype` is
    `tf32` (cuDNN would do so by default). On CUDA algorithms are deterministic, and cuDNN does not choose among them by timing; an operation that
    has no deterministic algorithm says so in a warning. Call it before CUDA is used.
    """
    tf32, cuda = dtype == "tf32", device.startswith("cuda")
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = False
    if cuda:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = WORKSPACE
    torch.use_deterministic_algorithms(cuda, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it costs time, and nothing here reads such memory
    return {
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
