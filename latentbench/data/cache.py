"""Prepared data kept between runs: safetensors files in LATENTBENCH_CACHE, or the user's cache folder."""

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from latentbench.files import write_atomically
from latentbench.imported import hashes


def cached(folder: Path, key: str, recipe: type, prepare: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors stored under `key` in `folder`; prepared and stored first where they are missing or damaged.

    A cache that cannot be written is no error.

    Args:
        folder: the cache folder.
        key: names what the tensors depend on beside code: the recipe, its version, hashes of the source files.
        recipe: the class whose code prepares them; what other code has prepared is not used.
        prepare: prepares them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    code = sha256(repr(sorted(hashes([recipe.__module__]).items())).encode()).hexdigest()[:16]
    path = folder / f"{key}-{code}.safetensors"
    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        tensors = {name: tensor.contiguous() for name, tensor in prepare().items()}
    with suppress(OSError):  # a later run prepares them again
        write_atomically(path, save(tensors))
    return tensors
