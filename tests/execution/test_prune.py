"""Freeing disk space: chosen files of chosen runs go, everything else stays, and runs that are being worked on are left alone."""

import pytest
import torch

from latentbench.errors import UserError
from latentbench.execution.leases import Leases
from latentbench.execution.prune import FREED, prune
from latentbench.results.store import Store
from tests.kit import fill, rows_of

RUNS = ("a1", "b2", "c3")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    fill(store, RUNS[:2], value=1.0)
    fill(store, RUNS[2:], value=2.0)
    for run_id in RUNS:
        store.write_checkpoint(run_id, {"w": torch.zeros(10)})
        store.write_arrays(run_id, "elbo-1", {"x": torch.zeros(20)})
        store.write_picture(run_id, "elbo-1-x", torch.zeros(4, 4, dtype=torch.uint8))
        (store.path / "checkpoints" / f"{run_id}@0.5.safetensors").write_bytes(b"12345")
        store.write_state(run_id, {"s": torch.zeros(30)})
    store.write_state("d4", {"s": torch.zeros(30)})  # interrupted: it has no row
    return store


def files(store):
    return {path.relative_to(store.path).as_posix() for path in store.path.rglob("*") if path.is_file()}


OF = {
    "checkpoints": {f"checkpoints/{run}{kept}.safetensors" for run in RUNS for kept in ("", "@0.5")},
    "kept": {f"checkpoints/{run}@0.5.safetensors" for run in RUNS},
    "arrays": {f"arrays/{run}/elbo-1.safetensors" for run in RUNS},
    "pictures": {f"pictures/{run}/elbo-1-x.png" for run in RUNS},
    "states": {f"states/{run}.safetensors" for run in (*RUNS, "d4")},
}


@pytest.mark.parametrize("kind", FREED)
def test_a_kind_of_file_goes_and_nothing_else(store, kind):
    before, rows = files(store), rows_of(store)
    sizes = sum((store.path / name).stat().st_size for name in OF[kind])
    would = prune(store.path, [kind], dry_run=True)
    assert files(store) == before
    pruned = prune(store.path, [kind])
    assert before - files(store) == OF[kind]
    assert rows_of(store) == rows
    assert pruned == would
    assert (pruned.files, pruned.bytes, pruned.busy) == (len(OF[kind]), sizes, [])


def test_only_some_runs(store):
    before = files(store)
    pruned = prune(store.path, ["kept", "states"], only={"beta": [2.0]})
    assert before - files(store) == {"checkpoints/c3@0.5.safetensors", "states/c3.safetensors"}
    assert (pruned.runs, pruned.files) == (1, 2)


def test_a_run_that_is_being_worked_on_keeps_its_files(store):
    Leases(store.path / "leases").acquire("b2")
    for dry_run in (True, False):
        pruned = prune(store.path, ["states"], dry_run=dry_run)
        assert list(pruned.busy) == ["b2"]
    assert [name for name in files(store) if name.startswith("states")] == ["states/b2.safetensors"]


@pytest.mark.parametrize(
    ("freed", "only", "message"),
    [
        (["models"], {}, "unknown kind of file 'models'"),
        (["states"], {"beta": [3]}, "no result has it"),
        (["states"], {"colour": [3]}, "unknown setting"),
    ],
)
def test_what_there_is_not_is_refused_and_nothing_is_removed(store, freed, only, message):
    before = files(store)
    with pytest.raises(UserError, match=message):
        prune(store.path, freed, only)
    assert files(store) == before
