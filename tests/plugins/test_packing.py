"""Which device the next run goes to."""

from latentbench_local.packing import Packing

GIB = 2**30


def test_a_number_of_runs_goes_to_the_device_with_the_fewest():
    packing = Packing(["cuda:0", "cuda:1"], 2)
    places = []
    for run in "abcd":
        places.append(packing.room())
        packing.enter(run, places[-1])
    assert places == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert packing.room() is None
    packing.leave("b")
    assert packing.room() == "cuda:1"


def test_nothing_is_packed_beside_a_run_that_was_not_measured():
    packing = Packing(["cuda:0"], None)
    packing.enter("a", packing.room())
    assert packing.room() is None
    packing.measured("a", 10 * GIB, 40 * GIB)
    assert packing.room() == "cuda:0"


def test_as_many_as_nine_tenths_of_the_memory_hold():
    packing = Packing(["cuda:0"], None)
    for count in range(1, 5):
        assert packing.room(10 * GIB) == ("cuda:0" if count < 4 else None)  # three times ten of forty, thirty-six of them to be filled
        if count < 4:
            packing.enter(str(count), "cuda:0", 10 * GIB)
            packing.measured(str(count), 10 * GIB, 40 * GIB)


def test_a_run_that_is_known_to_be_small_goes_where_a_large_one_does_not():
    packing = Packing(["cuda:0"], None)
    packing.enter("a", "cuda:0")
    packing.measured("a", 30 * GIB, 40 * GIB)
    assert packing.room() is None  # nobody knows: as large as the largest that was seen
    assert packing.room(5 * GIB) == "cuda:0"


def test_an_empty_device_takes_whatever_it_is():
    packing = Packing(["cuda:0"], None)
    assert packing.room(100 * GIB) == "cuda:0"


def test_after_it_ran_out_of_memory_a_device_has_one_run_fewer():
    packing = Packing(["cuda:0", "cuda:1"], None)
    for run in "abc":
        packing.enter(run, "cuda:0")
        packing.measured(run, 1 * GIB, 40 * GIB)
    packing.enter("d", "cuda:1")
    packing.measured("d", 1 * GIB, 40 * GIB)
    assert packing.back_off("b")
    packing.leave("b")
    for run in "efgh":
        packing.enter(run, "cuda:1")
        packing.measured(run, 1 * GIB, 40 * GIB)
    assert packing.room() == "cuda:1"  # though it has more
    packing.leave("c")
    assert packing.room() == "cuda:0"


def test_a_run_that_was_alone_is_not_helped_by_fewer():
    packing = Packing(["cuda:0"], None)
    packing.enter("a", "cuda:0")
    assert not packing.back_off("a")
    fixed = Packing(["cuda:0"], 2)
    fixed.enter("a", "cuda:0")
    fixed.enter("b", "cuda:0")
    assert not fixed.back_off("a")  # so many were asked for
