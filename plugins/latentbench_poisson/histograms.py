"""`relaxed_poisson`: histograms of relaxed counts (Poisson VAE, Fig. 3)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator

from latentbench.api import Assembly, Evaluation, Measure, Metric, Options, Outcome, Trained, relaxed_poisson

TAIL = 1e-5
"""The probability of more arrivals than are drawn (the paper's 1 - .99999)."""
BIN = 0.05


class RelaxedPoissonOptions(Options):
    """Options of `relaxed_poisson`."""

    rate: float = Field(1.0, gt=0, description="Rate of every count.")
    temperatures: list[float] = Field(default=[1.0, 0.1, 0.01, 0.0], min_length=1, description="Temperatures; 0 draws true counts.")
    n: int = Field(1_000_000, gt=0, description="Samples at each temperature.")


class RelaxedPoissonHistograms(Evaluation):
    """What Algorithm 1 draws at one rate and several temperatures: `histograms` [T, bins] in percent between `edges`, and the mean at each.

    It looks at the sampler and not at the trained model, so it is the same for every run.
    """

    name = "relaxed_poisson"
    version = "2"
    options_model = RelaxedPoissonOptions
    metrics = {"relaxed_mean": Measure(None, "counts", "Mean of relaxed counts.", "temperature")}

    def __init__(self, options: RelaxedPoissonOptions) -> None:
        self.options = options

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """It is about Poisson latents."""
        return None if assembly.family.name == "poisson" else f"it is about Poisson latents, not '{assembly.family.name}'"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Without data."""
        from scipy.stats import poisson  # half a second that only this takes

        rate, n_exp = self.options.rate, int(poisson.ppf(1 - TAIL, self.options.rate))
        edges = torch.arange(-BIN / 2, n_exp + BIN, BIN, dtype=torch.float64)
        rates = torch.full((self.options.n,), rate, dtype=torch.float64)
        histograms, metrics = [], []
        for temperature in self.options.temperatures:
            z = relaxed_poisson(rates, temperature, n_exp, generator) if temperature else torch.poisson(rates, generator=generator)
            histograms.append(torch.histogram(z, edges).hist * (100 / len(z)))
            metrics.append(Metric("relaxed_mean", float(z.mean()), "prior", float(z.std()) / len(z) ** 0.5, len(z), "temperature", temperature))
        temperatures = torch.tensor(self.options.temperatures, dtype=torch.float64)
        return Outcome(metrics, arrays={"histograms": torch.stack(histograms), "edges": edges, "temperatures": temperatures})
