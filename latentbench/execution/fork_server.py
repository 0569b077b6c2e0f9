"""Starting the standard library's fork server so that signals for a whole group of processes do not end it, nor show in the terminal."""

from __future__ import annotations

import signal
from collections.abc import Collection
from multiprocessing import forkserver, resource_tracker


def ensure_fork_server(deaf_to: Collection[signal.Signals]) -> None:
    """Start the server where there is none, deaf to signals that every process of a job or a terminal gets.

    What is blocked while it starts stays blocked in it, and in the processes that it forks.

    Args:
        deaf_to: the signals that it is not to hear.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)  # starting the tracker has unblocked SIGINT and SIGTERM
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
