"""Models that are kept on the way of a training: where they come from, where they go, and what happens to them when runs stop and begin again."""

import pytest
import torch

from latentbench.execution.control import Control, InterruptedRunError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.execution.queue import enqueue, waiting
from latentbench.results.merge import merge
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.results.tables import DamagedError

SHARES = (0.0, 0.2, 0.6, 1.0)


@pytest.fixture
def job(make_run):
    return Job(make_run(training__steps=5, training__batch_size=20).run, (), keep_checkpoints=SHARES)


def stopped_at(step, job, registry, store):
    """The model of a training that was asked to stop after a number of steps."""
    seen = []
    with pytest.raises(InterruptedRunError):
        execute(job, registry, store, "cpu", Control(lambda step, steps: seen.append(step), lambda: seen[-1] == step))
    state = store.read_state(job.run.id)
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_they_are_the_models_that_a_training_had_at_these_steps(job, registry, tmp_path):
    """Of five steps, .2 is one and .6 is three; as told by trainings that were stopped there."""
    store = Store(tmp_path / "r")
    assert execute(job, registry, store, "cpu") is None
    assert store.checkpoints(job.run.id) == list(SHARES)
    for share, step in ((0.2, 1), (0.6, 3)):
        assert equal(store.read_checkpoint(job.run.id, share), stopped_at(step, job, registry, Store(tmp_path / f"s{step}")))
    first, last = (store.read_checkpoint(job.run.id, share) for share in (0.0, 1.0))
    assert equal(last, store.read_checkpoint(job.run.id))
    assert not equal(first, store.read_checkpoint(job.run.id, 0.2))
    assert not list((tmp_path / "r" / "states").iterdir())


def test_a_run_that_was_stopped_has_them_all_in_the_end(job, registry, tmp_path):
    calm, store = Store(tmp_path / "calm"), Store(tmp_path / "r")
    execute(job, registry, calm, "cpu")
    for step in (2, 4):
        stopped_at(step, job, registry, store)
        assert store.checkpoints(job.run.id) == []
        assert Snapshot.read(store).saved == {job.run.id}
    assert execute(job, registry, store, "cpu") is None
    assert all(equal(store.read_checkpoint(job.run.id, share), calm.read_checkpoint(job.run.id, share)) for share in SHARES)


def test_those_of_an_earlier_training_go_with_it(job, registry, tmp_path):
    store = Store(tmp_path / "r")
    execute(job, registry, store, "cpu")
    execute(Job(job.run, (), keep_checkpoints=(0.4,)), registry, store, "cpu")
    assert store.checkpoints(job.run.id) == [0.4, 1.0]


def test_one_that_was_not_kept_is_named_with_those_that_were(job, registry, tmp_path):
    store = Store(tmp_path / "r")
    execute(job, registry, store, "cpu")
    with pytest.raises(DamagedError, match=r"@0.5.*kept at the shares 0, 0.2, 0.6, 1 of the run; add 0.5 to the suite's keep_checkpoints"):
        store.read_checkpoint(job.run.id, 0.5)


def test_merge_takes_them_with_the_run(job, registry, tmp_path):
    one, other = Store(tmp_path / "a"), Store(tmp_path / "b")
    execute(Job(job.run, ()), registry, one, "cpu")
    execute(job, registry, other, "cpu")
    merge([one.path, other.path], tmp_path / "m")
    merged = Store(tmp_path / "m")
    assert merged.checkpoints(job.run.id) == list(SHARES)
    assert equal(merged.read_checkpoint(job.run.id, 0.2), other.read_checkpoint(job.run.id, 0.2))


def test_they_are_asked_for_through_the_queue(job, tmp_path):
    enqueue(tmp_path, "s", [job], detached=True)
    (queue,) = waiting(tmp_path).values()
    assert queue.job(job.run.id) == job
