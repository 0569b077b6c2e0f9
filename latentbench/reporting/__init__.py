"""What is shown of stored results: leaderboards and the state of results folders. For users in Python: `compare`."""

from latentbench.reporting.leaderboard import compare

__all__ = ["compare"]
