"""`lasso`: sparse codes to a certified duality gap, by active sets where few codes are active, else by FISTA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor

from latentbench import hookimpl
from latentbench.api import (
    Assembly,
    Code,
    Family,
    L1Options,
    L1Schedule,
    Likelihood,
    Measure,
    Options,
    SparseCode,
    SparseCoder,
    UserError,
    duality_gap,
    solve_lasso,
)


class LassoOptions(L1Options):
    """Options of `lasso`."""

    solver: Literal["auto", "active_set", "fista"] = Field("auto", description="`auto`: the active set where codes are sparse and numba is there.")
    tolerance: float = Field(1e-5, gt=0, description="Largest duality gap of a code, relative to 1/2 |x|^2.")

    @field_validator("l1_weight")
    @classmethod
    def _needs_a_penalty(cls, value: float | str) -> float | str:
        schedule = L1Schedule.parse(value)
        if min(schedule.start, schedule.end) <= 0:
            raise ValueError("lasso needs an L1 weight above 0 throughout: without a penalty no duality gap can be certified")
        return value


class Lasso(SparseCoder):
    """Sparse coding with the exact optimum of each image, up to a duality gap that is checked.

    Products are in the images' dtype: bfloat16 does not reach such gaps.
    """

    name = "lasso"
    options_model = LassoOptions
    measures = {
        **SparseCoder.measures,
        "duality_gap": Measure("lower", "nats", "Duality gap of a code: its sparse-coding objective exceeds the minimum by no more."),
    }

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, LassoOptions)
        self.options = options

    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """Codes [B, K].

        Raises:
            UserError: the gap of an image remains above the tolerance.
        """
        o = self.options
        found = solve_lasso(images, dictionary, self.threshold, tolerance=o.tolerance, solver=o.solver, non_negative=o.non_negative)
        energy = 0.5 * images.double().square().sum(1)
        missed = found.gap > o.tolerance * energy
        if bool(missed.any()):
            worst, dtype = float((found.gap[missed] / energy[missed]).max()), str(images.dtype).removeprefix("torch.")
            raise UserError(
                f"lasso: the codes of {int(missed.sum())} of {len(images)} images have duality gaps of up to {worst:.2g} of 1/2 |x|^2 "
                f"in {dtype} at lambda = {self.threshold:g}; allowed by `tolerance` is {o.tolerance:g}: "
                "raise it, or ask for dtype: float64 or a larger l1_weight"
            )
        return found.codes

    def costs(self, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None) -> Mapping[str, Tensor]:
        """Those of every sparse coder, and the certificate, in float64 from the residual as it is decoded."""
        assert isinstance(code, SparseCode), "a sparse coder infers sparse codes"
        phi, codes = code.dictionary.double(), z.double()
        targets = (images - decoded).flatten(1).double() + codes @ phi.T  # the images less the bias
        gap = duality_gap(targets, phi, codes, self.threshold, non_negative=self.options.non_negative)
        return {**super().costs(images, code, z, decoded, likelihood, kl), "duality_gap": gap.to(z.dtype)}


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `lasso`."""
    return [Lasso]
