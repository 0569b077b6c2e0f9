"""Benchmarks for latent distributions: which latent, trained with which gradient estimator, learns which representation.

A plugin author needs `hookimpl` from here, the hooks in `latentbench.hookspecs`, and the contract that the hook names. In a notebook,
`latentbench.open("results")` gives stored results as tables, and `latentbench.load("31ef78", results="results")` a trained model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from latentbench import imported

if TYPE_CHECKING:
    from latentbench.opened import Folder, Loaded

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("latentbench")
imported.record()


def load(run: str, results: Path | str = "results", device: str = "cpu") -> Loaded:
    """The trained model of a stored run, with its settings, metrics, data and codes.

    Args:
        run: the run's id, or the beginning of it.
        results: the results folder.
        device: where the model is put, as torch names it.

    Raises:
        latentbench.errors.UserError: there is no such run, several begin so, it failed, its model is not stored, or a part of it is not installed.
    """
    from latentbench.opened import load_run  # with torch and the plugins

    return load_run(Path(results), run, device)


def open(results: Path | str = "results") -> Folder:
    """A results folder, with its tables as pandas frames.

    Raises:
        latentbench.errors.UserError: the folder has no results.
    """
    from latentbench.opened import open_folder  # with pandas

    return open_folder(Path(results))
