"""What is shown of stored results: leaderboards, plans, parts, runs and the state of results folders. For users in Python: `compare` and `Query`."""

from latentbench.reporting.leaderboard import compare
from latentbench.reporting.query import Query

__all__ = ["Query", "compare"]
