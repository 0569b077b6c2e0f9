"""The conformance kit on `gamma`."""

from latentbench_gamma import GammaFamily

from latentbench.testing import latentbench_checks

test_gamma = latentbench_checks(GammaFamily)
