"""The laws of engines."""

from latentbench.testing.engines.accidents import interrupted, killed, taken_over, time_limit
from latentbench.testing.engines.subject import EngineSubject, subject
from latentbench.testing.engines.work import declared, fail_fast, leases, once, order, results

CHECKS = (declared, once, order, leases, results, fail_fast, time_limit, killed, taken_over, interrupted)

__all__ = ["CHECKS", "EngineSubject", "subject"]
