"""The code that made a saved training state: other code does not resume from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from latentbench.imported import Sources
from latentbench.results.provenance import changed

if TYPE_CHECKING:
    from torch import Tensor

KEY = "code"
"""The tensor of a saved state that holds the sources, as JSON."""


def with_code(tensors: Mapping[str, Tensor], sources: Sources) -> dict[str, Tensor]:
    """A state's tensors, and the sources of the code that made them."""
    import torch  # here, as commands that only read rows do without

    return {**tensors, KEY: torch.frombuffer(bytearray(json.dumps(dict(sources), sort_keys=True).encode()), dtype=torch.uint8).clone()}


def other_code(tensors: Mapping[str, Tensor], sources: Sources) -> list[str]:
    """The source files in which the code that made a state differs from `sources`; a state that does not say is of other code throughout."""
    before = json.loads(bytes(tensors[KEY].cpu().tolist())) if KEY in tensors else {}
    return changed(before, sources) if before else sorted(sources)


def other_code_in(path: Path, sources: Sources) -> list[str]:
    """The same for a state on disk, of which only this is read; nothing where it is not there or cannot be read, as who resumes finds out."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return other_code({name: file.get_tensor(name) for name in file.keys() if name == KEY}, sources)  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError, ValueError):
        return []
