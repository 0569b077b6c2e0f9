"""`ista`: iterative shrinkage-thresholding (Daubechies et al. 2004), and its accelerated form FISTA (Beck & Teboulle 2009)."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from latentbench import hookimpl
from latentbench.api import Assembly, Family, Options, SparseCoder, SparseCodingOptions, lasso_ista


class IstaOptions(SparseCodingOptions):
    """Options of `ista`."""

    accelerated: bool = Field(False, description="FISTA: steps from a point beyond the last, with restarts.")
    restart: bool = Field(True, description="Whether FISTA drops its momentum where that leads uphill.")

    @field_validator("restart")
    @classmethod
    def _means_nothing_without_momentum(cls, restart: bool, info: ValidationInfo) -> bool:
        """Without acceleration it is at its default, so that one meaning is one run."""
        return restart if info.data.get("accelerated") else True


class Ista(SparseCoder):
    """Sparse coding with iterative shrinkage-thresholding."""

    name = "ista"
    options_model = IstaOptions

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, IstaOptions)
        self.options = options

    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """Codes [B, K]."""
        o = self.options
        how = {"iterations": o.iterations, "accelerated": o.accelerated, "restart": o.restart, "tolerance": o.tolerance}
        return lasso_ista(images, dictionary, self.threshold, **how, non_negative=o.non_negative, dtype=self.product_dtype)  # type: ignore[arg-type]  # each has its type


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `ista`."""
    return [Ista]
