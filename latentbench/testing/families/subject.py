"""An amortised family as its checks see it: built in float64 with parameters that are not at special values, and features of moderate size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from latentbench.models.codes import Posterior
from latentbench.models.family import AmortisedFamily
from latentbench.models.network import dictionary_of
from latentbench.part import Assembly, Options
from latentbench.testing import bench
from latentbench.testing.law import Effort

ROWS = 4
TEMPERATURE = 0.5


@dataclass(frozen=True)
class FamilySubject:
    """A family class with options, in an assembly with a linear decoder."""

    part: type[AmortisedFamily]
    options: Options
    effort: Effort
    assembly: Assembly

    def built(self, dtype: torch.dtype = torch.float64, seed: int = 1) -> AmortisedFamily:
        """The family; its trained parameters are drawn from [-.5, .5], as at initial values a prior may hide a mistake."""
        family = bench.model(self.assembly, self.effort, dtype, seed).family
        assert isinstance(family, AmortisedFamily)
        with torch.no_grad():
            for name, parameter in family.named_parameters():
                parameter.copy_(self.effort.uniform(-0.5, 0.5, *parameter.shape, name=f"{name}/{seed}").to(dtype))
        return family.requires_grad_(False)

    @cached_property
    def family(self) -> AmortisedFamily:
        """The family in float64."""
        return self.built()

    @cached_property
    def features(self) -> Tensor:
        """Encoder features [4, F] in [-.8, -.3]: scales and rates of such a size that means of 100,000 squares are close to normal."""
        return self.effort.uniform(-0.8, -0.3, ROWS, self.family.features, name="features")

    @cached_property
    def dictionary(self) -> Tensor:
        """A dictionary [M, K]."""
        return dictionary_of(bench.model(self.assembly, self.effort).decoder)[0].detach()

    def posterior(self, features: Tensor | None = None) -> Posterior:
        """q(z | x) of the features [B, F], or of the kit's own."""
        return self.family.posterior(self.features if features is None else features)

    def repeated(self, times: int) -> Posterior:
        """The posterior of the first row, `times` times."""
        return self.family.posterior(self.features[:1].expand(times, -1))

    def both(self, times: int) -> list[tuple[str, Posterior]]:
        """The posterior of the first row and the prior, `times` times each."""
        return [("posterior", self.repeated(times)), ("prior", self.family.prior(times))]

    def samples(self, of: str, posterior: Posterior) -> Tensor:
        """True samples [N, K] of a repeated posterior, of the stream `of`."""
        with torch.no_grad():
            return posterior.sample(self.stream(of))

    def stream(self, *names: str | int) -> Generator:
        """A stream of the kit's randomness."""
        return self.effort.generator(self.part.name, *names)


def subject(part: type[AmortisedFamily], options: Options, effort: Effort) -> FamilySubject:
    """The subject of the checks of amortised families.

    Raises:
        InapplicableError: the family does not apply to a linear decoder with a squared error, in K = 6 dimensions, with these options.
    """
    return FamilySubject(part, options, effort, bench.assembly(options={"family": options}, family=part))
