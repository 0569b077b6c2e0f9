"""`recovery`: whether a model finds the dictionary and the causes that its data were made with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import Assembly, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, PerUnit, Trained, dictionary_of


class RecoveryOptions(EvaluationOptions):
    """Options of `recovery`."""

    threshold: float = Field(0.9, gt=0, lt=1, description="Correlation with its match from which a true element counts as recovered.")
    draws: int = Field(20, gt=1, description="Random dictionaries of the control.")


@dataclass(frozen=True)
class Matching:
    """Which unit each of L true elements is matched with, -1 for none [L], and the correlation of both, 0 for none [L]."""

    unit: Tensor
    correlation: Tensor


class Recovery(Evaluation):
    """The true elements of synthetic data are matched with the model's, one to one, so that the sum of the correlations (cosines) is largest.

    `dictionary_correlation` is the mean of these correlations over the true elements, 0 for one that no unit is left for; `recovered_fraction` the
    share of them at or above the threshold. The same for dictionaries whose every element is the model's with its pixels in random order have the
    suffix `_control`. `cause_correlation` is the mean, over causes, of Pearson's correlation over images of a cause with the mean code of its unit:
    0 where there is no unit, or either does not vary.

    Where codes and causes are never negative, an element and its negative differ, and correlations have their signs. Where either takes both signs,
    (phi, z) and (-phi, -z) are one model: the magnitude of the cosine counts, and the correlation of codes is taken with the sign of the cosine.

    Units get `dictionary_correlation`, not a number where they are not matched. Arrays: `unit`, `correlation` and `cause_correlation`, each [L].
    """

    name = "recovery"
    options_model = RecoveryOptions
    metrics = {
        "dictionary_correlation": Measure("higher", "correlation", "True dictionary elements with their matches."),
        "dictionary_correlation_control": Measure(None, "correlation", "True dictionary elements with matches among elements of shuffled pixels."),
        "recovered_fraction": Measure("higher", "share of elements", "True dictionary elements whose match is above the threshold."),
        "recovered_fraction_control": Measure(None, "share of elements", "True elements whose match among elements of shuffled pixels is."),
        "cause_correlation": Measure("higher", "correlation", "Causes with the mean codes of the units that are matched with their elements."),
    }

    def __init__(self, options: RecoveryOptions) -> None:
        self.threshold, self.draws, self.split = options.threshold, options.draws, options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A truth, and a dictionary to compare with it, are needed."""
        if not assembly.dataset.has_truth:
            return f"it compares a model with the causes and the dictionary of its data, and those of '{assembly.dataset.name}' are not known"
        return None if assembly.linear_decoder else f"it needs a linear decoder, and '{assembly.decoder.name}' is not"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Elements as they are, causes on one split."""
        true, causes = trained.dictionary, trained.splits[self.split].causes
        assert true is not None, "the plan leaves this evaluation out where there is no truth"
        assert causes is not None, "a data set with a dictionary has causes"
        true, causes, codes = true.cpu().double(), causes.cpu().double(), trained.codes(self.split).mean.double()
        learned = dictionary_of(trained.model.decoder)[0].detach().cpu().double()
        signed = bool((causes >= 0).all() and (codes >= 0).all())
        cosine = cosines(true, learned)
        found = matched(cosine, signed)
        controls = [matched(cosines(true, shuffled(learned, generator)), signed).correlation for _ in range(self.draws)]
        metrics = [*self._recovered(found.correlation.unsqueeze(1), ""), *self._recovered(torch.stack(controls), "_control")]
        arrays = {"unit": found.unit, "correlation": found.correlation}
        if len(causes) > 1:
            signs = 1 if signed else cosine[torch.arange(len(cosine)), found.unit].sign()  # of no unit the correlation is 0 anyway
            arrays["cause_correlation"] = signs * paired_correlations(causes, codes, found.unit)
            metrics.append(Metric.mean("cause_correlation", arrays["cause_correlation"], self.split))
        return Outcome(metrics, [PerUnit("dictionary_correlation", of_units(found, learned.shape[1]), self.split)], arrays)

    def _recovered(self, correlation: Tensor, suffix: str) -> list[Metric]:
        """Of the true elements one by one [L, 1], or of every draw of the control [draws, L]."""
        return [
            Metric.mean(f"dictionary_correlation{suffix}", correlation.mean(1), self.split),
            Metric.mean(f"recovered_fraction{suffix}", (correlation >= self.threshold).double().mean(1), self.split),
        ]


def cosines(true: Tensor, learned: Tensor) -> Tensor:
    """The cosines [L, K] of the columns of two dictionaries, [M, L] and [M, K]; 0 for a column of zeros."""
    one, other = (columns / columns.norm(dim=0).clamp(min=torch.finfo(columns.dtype).tiny) for columns in (true, learned))
    product: Tensor = one.T @ other
    return product


def matched(cosine: Tensor, signed: bool) -> Matching:
    """The one-to-one matching of cosines [L, K] with the largest sum, or the largest sum of magnitudes where signs mean nothing."""
    from scipy.optimize import linear_sum_assignment  # half a second that only this takes

    worth = cosine if signed else cosine.abs()
    rows, columns = (torch.from_numpy(index) for index in linear_sum_assignment(worth.numpy(), maximize=True))
    unit, correlation = torch.full((len(worth),), -1), torch.zeros(len(worth), dtype=worth.dtype)
    unit[rows], correlation[rows] = columns, worth[rows, columns]
    return Matching(unit, correlation)


def shuffled(dictionary: Tensor, generator: Generator) -> Tensor:
    """The dictionary [M, K] with the pixels of every element in an order of its own."""
    return dictionary.gather(0, torch.rand(dictionary.shape, generator=generator).argsort(0))


def of_units(found: Matching, units: int) -> Tensor:
    """The correlation of every unit [K] with its true element; not a number where it has none."""
    values = torch.full((units,), torch.nan, dtype=torch.float64)
    values[found.unit[found.unit >= 0]] = found.correlation[found.unit >= 0]
    return values


def paired_correlations(causes: Tensor, codes: Tensor, unit: Tensor) -> Tensor:
    """Pearson's correlation of each cause [N, L] with the codes [N, K] of its unit [L]; 0 without a unit, or where either does not vary."""
    one, other = (values - values.mean(0) for values in (causes, codes[:, unit.clamp(min=0)]))
    scale = one.norm(dim=0) * other.norm(dim=0)
    varies = (unit >= 0) & (scale > 0)
    return torch.where(varies, (one * other).sum(0) / scale.where(varies, 1.0), 0.0)
