"""`spike_counts`: how many spikes an image costs, and how variable counts are."""

from __future__ import annotations

from torch import Generator, Tensor

from latentbench.api import Assembly, Evaluation, Measure, Metric, Options, Outcome, PerUnit, Trained


class SpikeCounts(Evaluation):
    """`spikes_per_image`, the sum of counts over units; `fano_factor`, variance over mean of a unit's counts over images, for units that ever spike,
    where there is more than one image.

    Counts are one true sample an image, so that their variance is that of the posterior and of its rates over images: a unit that ignores its
    input has a Fano factor of 1.
    """

    name = "spike_counts"
    metrics = {
        "spikes_per_image": Measure(None, "spikes", "Sum of the counts of all units."),
        "fano_factor": Measure(None, "ratio", "Variance over mean of a unit's counts over images."),
    }

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Counts are needed."""
        return None if assembly.family.counts else f"it needs counts, and samples of '{assembly.family.name}' are none"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On the validation split."""
        z = trained.codes("validation").sample.double()
        mean = z.mean(0)
        spiking = mean > 0
        metrics = [Metric.mean("spikes_per_image", z.sum(1))]
        if spiking.any() and len(z) > 1:
            metrics.append(Metric.mean("fano_factor", fano_factor(z)[spiking]))
        return Outcome(metrics, [PerUnit("spike_count", mean)])


def fano_factor(z: Tensor) -> Tensor:
    """Variance over mean of each unit's counts [N, K] -> [K]; not a number for one that never spikes."""
    return z.var(0) / z.mean(0)
