"""`lca`: the locally competitive algorithm (Rozell et al. 2008), with a soft threshold, optionally in the implementation of lca-pytorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from latentbench import hookimpl
from latentbench.api import Assembly, Family, Options, SparseCoder, SparseCodingOptions, lasso_lca
from latentbench_lca.reference import infer_with_lcapt, why_no_lcapt


class LcaOptions(SparseCodingOptions):
    """Options of `lca`."""

    tau: float = Field(100.0, ge=1, description="Time constant of the membrane, in iterations.")
    backend: Literal["native", "lcapt"] = Field("native", description="`lcapt`: lca-pytorch's LCAConv1D, if it is installed; never in bfloat16.")


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
        o, l1 = self.options, self.threshold
        if o.backend == "lcapt":
            return infer_with_lcapt(images, dictionary, l1, iterations=o.iterations, tau=o.tau, non_negative=o.non_negative)
        how = {"iterations": o.iterations, "tau": o.tau, "non_negative": o.non_negative, "tolerance": o.tolerance}
        return lasso_lca(images, dictionary, l1, **how, dtype=self.product_dtype)  # type: ignore[arg-type]  # each has its type


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `lca`."""
    return [Lca]
