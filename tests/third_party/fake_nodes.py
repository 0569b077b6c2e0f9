"""Makes every node of a cluster on this machine a machine of its own, whose leases soon grow stale; importing it does so."""

import os
import platform

from latentbench.execution import heartbeat, leases

platform.node = lambda: os.environ.get("SLURMD_NODENAME", "submitting")
leases.STALE_AFTER, heartbeat.RENEW_EVERY = 8.0, 1.0
