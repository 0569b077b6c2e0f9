"""The laws of data sets."""

from latentbench.testing.datasets.choices import disjoint, options
from latentbench.testing.datasets.contract import declared, dtypes, labels, pixels, shapes, splits
from latentbench.testing.datasets.loading import cached, deterministic, sources, stateless
from latentbench.testing.datasets.neighbours import aligned
from latentbench.testing.datasets.subject import DataSetSubject, subject
from latentbench.testing.datasets.truth import truth

CHECKS = (declared, sources, splits, shapes, dtypes, pixels, labels, truth, aligned, disjoint, deterministic, cached, stateless, options)

__all__ = ["CHECKS", "DataSetSubject", "subject"]
