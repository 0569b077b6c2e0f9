"""The conformance kit: proves that a part keeps the laws of its kind. `latentbench check NAME` and `latentbench_checks(part)` run it."""

from latentbench.testing.examine import examine
from latentbench.testing.law import Check, Effort, InapplicableError, SkippedError, Trial, check, holds
from latentbench.testing.pytest_checks import latentbench_checks
from latentbench.testing.report import Finding, Report

__all__ = ["Check", "Effort", "Finding", "InapplicableError", "Report", "SkippedError", "Trial", "check", "examine", "holds", "latentbench_checks"]
