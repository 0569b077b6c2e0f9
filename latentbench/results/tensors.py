"""Tensors in safetensors files, with a checksum, which the format itself has none of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentbench.files import opened
from latentbench.results.tables import DamagedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
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
    tensors: dict[str, Tensor] = _read(path, "pt", _checksum)
    return tensors


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a file as numpy's arrays, read without torch; bfloat16 is not among numpy's types, and is refused.

    Raises:
        FileNotFoundError: there is no such file.
        FolderError: it cannot be read.
        DamagedError: its tensors are not those that were written.
    """
    arrays: dict[str, NDArray[Any]] = _read(path, "np", _checksum_of_arrays)
    return arrays


def _read(path: Path, framework: str, checksum: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with opened(path), safe_open(path, framework) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            expected = (file.metadata() or {}).get(CHECKSUM)
    except (SafetensorError, TypeError) as error:  # numpy says the latter of a type that it does not have
        raise DamagedError(f"{path} is damaged ({error})") from error
    if checksum(tensors) != expected:
        raise DamagedError(f"{path} is damaged (its checksum is wrong)")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    import torch

    def flat(tensor: Tensor) -> memoryview | bytes:
        return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b""

    return _hash((name, str(tensor.dtype), tuple(tensor.shape), flat(tensor)) for name, tensor in tensors.items())


def _checksum_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    def kind(dtype: np.dtype[Any]) -> str:
        return f"torch.{dtype.name}"  # numpy's names are torch's, for all types that both have

    return _hash((name, kind(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items())


def _hash(tensors: Iterable[tuple[str, str, tuple[int, ...], memoryview | bytes]]) -> str:
    """A hash over names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name, kind, shape, content in sorted(tensors, key=lambda tensor: tensor[0]):
        total.update(f"{name} {kind} {shape} ".encode())
        total.update(content)
    return total.hexdigest()
