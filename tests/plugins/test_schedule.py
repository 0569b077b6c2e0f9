"""When runs would all be done, in cases that are solved by hand."""

import pytest
from latentbench_local.local import LocalEngine, LocalOptions
from latentbench_local.packing import Packing
from latentbench_local.processes import CONTEXT
from latentbench_local.schedule import makespan

from latentbench.engine import Load, Wall

GIB = 2**30


def loads(*seconds, memory=0):
    return [Load(float(s), memory) for s in seconds]


def engine(**options):
    return LocalEngine(LocalOptions(**options))


@pytest.mark.parametrize(
    ("cpus", "seconds", "expected"),
    [
        (1, (5, 4, 3), 12),
        (2, (5, 4, 3), 7),  # 5 on one, 4 and then 3 on the other
        (3, (5, 4, 3), 5),
        (9, (5, 4, 3), 5),
        (2, (1, 1, 10), 11),  # the long one last
        (2, (), 0),
    ],
)
def test_runs_go_to_the_first_core_that_is_free(cpus, seconds, expected):
    assert engine(cpus=cpus).wall(loads(*seconds), None) == Wall(expected, expected)


def test_runs_a_gpu_share_it_at_no_cost_or_gain_nothing():
    found = engine(gpus="0,1", per_gpu=2).wall(loads(4, 4, 4, 4), 80 * GIB)
    assert found == Wall(4, 8)


def test_as_many_share_a_gpu_as_its_memory_holds():
    """Nine tenths of 40 GiB hold three runs of 10 with their contexts."""
    runs = loads(*[6] * 6, memory=10 * GIB)
    assert engine(gpus="0", per_gpu="auto").wall(runs, 40 * GIB) == Wall(12, 36)
    assert engine(gpus="0-1", per_gpu="auto").wall(runs, 40 * GIB) == Wall(6, 18)


def test_a_run_that_does_not_fit_lets_smaller_ones_pass():
    """30 GiB fill a GPU of 40 but for 6: the second large one waits for the first, the small one does not."""
    runs = [Load(5, 30 * GIB), Load(5, 30 * GIB), Load(1, 4 * GIB)]
    assert makespan(Packing(["cuda:0"], None), runs, 40 * GIB) == 10
    assert 30 * GIB + 4 * GIB + 2 * CONTEXT < 0.9 * 40 * GIB


def test_a_run_larger_than_a_gpu_is_alone_there():
    assert makespan(Packing(["cuda:0"], None), loads(3, 3, memory=50 * GIB), 40 * GIB) == 6


def test_one_and_a_half_thousand_runs_are_placed_at_once():
    """A run an hour on 300 places: five in turn on each."""
    assert engine(cpus=300).wall(loads(*[3600] * 1500), None).least == 5 * 3600
