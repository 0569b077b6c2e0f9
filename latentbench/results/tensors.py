"""Tensors in safetensors files, with a checksum, which the format itself has none of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from latentbench.files import opened
from latentbench.results.tables import DamagedError

if TYPE_CHECKING:
    from torch import Tensor

CHECKSUM = "sha256"
"""The entry of a file's metadata that holds the hash over its tensors."""


def tensors_to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """A safetensors file."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return bytes(save(plain, {CHECKSUM: _checksum(plain)}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        FileNotFoundError: there is no such file.
        FolderError: it cannot be read.
        DamagedError: its tensors are not those that were written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with opened(path), safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            expected = (file.metadata() or {}).get(CHECKSUM)
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged ({error})") from error
    if _checksum(tensors) != expected:
        raise DamagedError(f"{path} is damaged (its checksum is wrong)")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return total.hexdigest()
