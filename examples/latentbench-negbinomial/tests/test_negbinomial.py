"""The conformance kit on `negbinomial`, with both kinds of dispersion."""

from latentbench_negbinomial import NegativeBinomialFamily, NegativeBinomialOptions

from latentbench.testing import latentbench_checks

test_shared = latentbench_checks(NegativeBinomialFamily, NegativeBinomialOptions(dispersion="shared"))
test_learned = latentbench_checks(NegativeBinomialFamily, NegativeBinomialOptions(dispersion="learned"))
