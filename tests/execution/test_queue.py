"""The queue of a results folder: what was asked for comes back as it was, and stays queued until the store has something new of it."""

import json
import subprocess
import sys

import pytest

from latentbench.errors import UserError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.queue import VERSION, Cancelled, cancel, enqueue, prune, queues, waiting
from latentbench.results.store import Store, revision
from latentbench.suites.evaluation_plan import EvaluationPlan


@pytest.fixture
def jobs(make_run):
    evaluation = EvaluationPlan("active_units", {"threshold": 0.03}, "1")
    return [Job(make_run(family=name, training__steps=2).run, (evaluation,)) for name in ("poisson", "gaussian")]


def test_jobs_come_back_as_they_were(jobs, tmp_path):
    path = enqueue(tmp_path, "a suite / of mine", jobs, detached=True)
    assert path.parent == tmp_path / "queue"
    (queue,) = queues(tmp_path)
    back = [queue.job(job.run.id) for job in jobs]
    assert (queue.suite, back) == ("a suite / of mine", jobs)
    assert [job.run.id for job in back] == [job.run.id for job in jobs]
    assert [job.evaluations[0].id for job in back] == [job.evaluations[0].id for job in jobs]


def test_a_run_is_queued_until_the_store_has_something_new_of_it(jobs, registry, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    store = Store(tmp_path)
    assert set(waiting(tmp_path)) == {job.run.id for job in jobs}
    assert execute(jobs[0], registry, store, "cpu") is None
    assert set(waiting(tmp_path)) == {jobs[1].run.id}
    prune(tmp_path)
    assert len(queues(tmp_path)) == 1
    assert execute(jobs[1], registry, store, "cpu") is None
    prune(tmp_path)
    assert queues(tmp_path) == []


def test_two_files_with_one_run_queue_it_once(jobs, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    enqueue(tmp_path, "t", jobs[:1], detached=True)
    assert len(waiting(tmp_path)) == 2


def test_a_new_invocation_replaces_the_queue_of_a_killed_one_of_its_suite(jobs, tmp_path):
    code = "import os; from latentbench.execution.leases import this_process; import json; print(json.dumps(this_process()))"
    gone = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    for suite, owner in (("s", gone), ("other", gone), ("s", {**gone, "host": "elsewhere"})):
        path = enqueue(tmp_path, suite, jobs, detached=False)
        path.write_text(json.dumps({**json.loads(path.read_text()), "owner": owner}))
    enqueue(tmp_path, "s", jobs, detached=False)
    prune(tmp_path, suite="s")
    assert sorted((queue.suite, queue.owner == gone) for queue in queues(tmp_path)) == [("other", True), ("s", False), ("s", False)]


def test_cancelling_empties_it(jobs, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    assert cancel(tmp_path) == Cancelled(taken_back=2, continuing=0)
    assert queues(tmp_path) == []
    assert cancel(tmp_path) == Cancelled(0, 0)


def test_cancel_tells_runs_that_are_taken_back_from_those_that_continue(jobs, registry, tmp_path, cli, make_run):
    """One of three is done, one is being worked on, and one is taken back."""
    done = Job(make_run(family="laplace", training__steps=2).run, ())
    enqueue(tmp_path, "s", [*jobs, done], detached=True)
    assert execute(done, registry, Store(tmp_path), "cpu") is None
    assert Leases(tmp_path / "leases").acquire(jobs[0].run.id)
    assert cli("cancel", "--results", tmp_path).out == f"{tmp_path}: 1 runs taken back, 1 that are being worked on continue\n"
    assert queues(tmp_path) == []


def test_cancel_empties_a_queue_that_cannot_be_counted(jobs, tmp_path, cli):
    path = enqueue(tmp_path, "s", jobs, detached=True)
    (tmp_path / "queue" / "t.1.json").write_text("{")
    answer = cli("cancel", "--results", tmp_path)
    assert answer.code == 2
    assert "is empty now; how many runs it had is not known: queue file" in answer.err
    assert not path.exists()
    assert queues(tmp_path) == []


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"version": 1, "suite": "s", "owner": {}, "jobs": 3}', "{"])
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "queue").mkdir()
    path = tmp_path / "queue" / "s.1.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"queue file {path} is damaged .*remove it and run the suite again"):
        waiting(tmp_path)


def test_a_file_of_a_newer_version_is_refused(jobs, tmp_path):
    path = enqueue(tmp_path, "s", jobs, detached=True)
    path.write_text(path.read_text().replace(f'"version": {VERSION}', f'"version": {VERSION + 1}', 1))
    with pytest.raises(UserError, match=f"has version {VERSION + 1}, this latentbench reads up to {VERSION}"):
        queues(tmp_path)


def test_a_job_that_does_not_describe_a_run_is_named(jobs, tmp_path):
    path = enqueue(tmp_path, "s", jobs, detached=True)
    path.write_text(path.read_text().replace('"latent_dim": 6', '"latent_dim": "six"'))
    with pytest.raises(UserError, match="is damaged"):
        queues(tmp_path)[0].job(jobs[0].run.id)


def test_a_run_that_is_done_again_stays_queued_until_it_is(jobs, registry, tmp_path):
    """Training again first forgets the old row, and evaluations come before the new one: whoever dies in between leaves the run to others."""
    store, (job, _) = Store(tmp_path), jobs
    assert execute(job, registry, store, "cpu") is None
    row, evaluated = store.state_of(job.run.id)
    enqueue(tmp_path, "forced", [Job(job.run, job.evaluations, seen=revision(row, evaluated))], detached=True)
    assert job.run.id in waiting(tmp_path)
    store.forget(job.run.id)
    assert job.run.id in waiting(tmp_path)
    assert execute(job, registry, store, "cpu") is None
    assert waiting(tmp_path) == {}


def test_an_evaluation_stays_queued_while_one_of_several_is_there(jobs, registry, tmp_path):
    store, more = Store(tmp_path), (EvaluationPlan("elbo", {}, "1"), EvaluationPlan("sparsity", {}, "1"))
    assert execute(jobs[0], registry, store, "cpu") is None
    row, evaluated = store.state_of(jobs[0].run.id)
    enqueue(tmp_path, "s", [Job(jobs[0].run, more, trained=True, seen=revision(row, evaluated))], detached=True)
    assert execute(Job(jobs[0].run, more[:1], trained=True), registry, store, "cpu") is None
    (queue,) = waiting(tmp_path).values()
    rest = queue.job(jobs[0].run.id).rest(*store.state_of(jobs[0].run.id))
    assert rest.trained
    assert execute(rest, registry, store, "cpu") is None
    assert waiting(tmp_path) == {}


def test_a_run_that_failed_elsewhere_is_not_queued_any_more(make_run, registry, tmp_path):
    job = Job(make_run(family="test_diverging", training__steps=60).run, ())
    enqueue(tmp_path, "s", [job], detached=True)
    assert "non-finite" in str(execute(job, registry, Store(tmp_path), "cpu"))
    assert waiting(tmp_path) == {}
