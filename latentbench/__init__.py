"""Benchmarks for latent distributions: which latent, trained with which gradient estimator, learns which representation.

A plugin author needs `hookimpl` from here, the hooks in `latentbench.hookspecs`, and the contract that the hook names.
"""

import pluggy

from latentbench import imported

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("latentbench")
imported.record()
