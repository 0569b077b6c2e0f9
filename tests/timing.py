"""CPU time of commands, held against that of a baseline in the same run: other work on a machine slows both."""

import os
import statistics

TRIES = 7


def cpu_seconds(command):
    """CPU time of the processes that ``command`` starts and waits for."""
    before = os.times()
    command()
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def times_as_long(command, baseline):
    """How many times as long as ``baseline`` a command takes: the median of seven ratios, the two in turns."""
    return statistics.median(cpu_seconds(command) / cpu_seconds(baseline) for _ in range(TRIES))
