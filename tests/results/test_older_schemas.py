"""Results folders that older versions wrote: they are read, joined with new runs, and migrated by `compact`.

`golden/results_8793d11` was written by commit 8793d11, schema 2: `latentbench run suite.yaml` in `plain`, and the same after `latentbench compact` in
`compacted`. Four runs are done, and one failed.
"""

import re
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from latentbench.execution.compaction import compact
from latentbench.execution.execute import execute
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.results.tables import METADATA_KEY, SCHEMA_VERSION, TABLES
from latentbench.runner import Selection, planned
from latentbench.suites.launch import Launch
from latentbench.suites.plan import Changes
from tests.kit import rows_of

RUNS = {"f63d023ff0745957", "023a33d25bb9de79", "9b4cd758960766d9", "7e4596fd278297ff", "97a167cd6402c37c"}


@pytest.fixture(params=["plain", "compacted"])
def old(request, tmp_path, root, registry, monkeypatch):
    """A copy of the folder, with its suite beside it. Its families are of version 1, as they were then: this is about schemas, not about numbers."""
    for name in ("poisson", "gaussian"):
        monkeypatch.setattr(registry.family(name), "version", "1")
    golden = root / "tests" / "golden" / "results_8793d11"
    shutil.copy(golden / "suite.yaml", tmp_path)
    shutil.copytree(golden / request.param, tmp_path / "r")
    return tmp_path / "r"


def versions(folder):
    return {pq.read_schema(path).metadata[METADATA_KEY] for path in folder.glob("*/*.parquet")}


def test_every_command_reads_it(old, cli, tmp_path):
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    shown = cli("show", "f63d023ff0745957", "--full", "--results", old).out
    assert re.search(r"git_sha +8793d1184c26372e6b6657bb35c3993b0897eeb4", shown)
    assert re.search(r"nelbo +.*\d\.\d", shown)
    assert "5 runs in" in cli("list", "runs", "--results", old).out
    assert "4 done, 1 failed: non-finite; 0 running" in cli("status", "--results", old).out
    plan = cli("plan", tmp_path / "suite.yaml", "--results", old).out
    assert set(re.findall(r"^([0-9a-f]{16}) ", plan, re.MULTILINE)) == RUNS
    assert "missing" not in plan
    assert cli("compare", old, "--rows", "family,estimator", "--from", "runs").out.count("±") == 3  # two rows, and the line that explains it
    assert cli("merge", old, "--into", tmp_path / "m").out.startswith("5 runs in")
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_what_it_did_not_have_is_missing(old):
    store = Store(old)
    runs = store.read("runs")
    assert runs["numerics"].isna().all()
    assert set(runs["host"]) == {"golden"}
    assert store.read("evaluations").empty
    assert store.read("evaluations").columns.tolist() == list(TABLES["evaluations"])


def test_compact_migrates_it_and_changes_no_row(old, cli):
    store = Store(old)
    before, states, evaluated = rows_of(store), Snapshot.read(store).rows, Snapshot.read(store).evaluated
    assert versions(old) == {b"2"}
    assert cli("compact", "--results", old).code == 0
    assert versions(old) == {str(SCHEMA_VERSION).encode()}
    assert rows_of(store) == before
    assert str(Snapshot.read(store).rows) == str(states)
    assert Snapshot.read(store).evaluated == evaluated
    for table in {path.parent.name for path in old.glob("*/*.parquet")}:
        assert list(pd.read_parquet(old / table).columns) == list(TABLES[table])


def test_one_of_its_runs_changes_and_the_others_stay(old):
    """As by --force, or an evaluation: its fragments are of the present schema then, beside the old ones."""
    store = Store(old)
    before = rows_of(store)
    store.update_run("f63d023ff0745957", {"numerics": "{}"})
    numerics = store.read("runs").set_index("run_id")["numerics"]
    assert len(numerics) == 5
    assert numerics.dropna().to_dict() == {"f63d023ff0745957": "{}"}
    after = rows_of(store)
    assert {table: rows for table, rows in after.items() if table != "runs"} == {table: rows for table, rows in before.items() if table != "runs"}
    store.forget("f63d023ff0745957")
    assert set(store.read("runs")["run_id"]) == set(store.read("history")["run_id"]) | {"97a167cd6402c37c"} == RUNS - {"f63d023ff0745957"}
    compact(old)
    assert set(store.read("runs")["run_id"]) == RUNS - {"f63d023ff0745957"}


def test_its_runs_are_evaluated_again_by_their_stored_models(old, registry, tmp_path):
    """Only an evaluation is missing, of a model that 8793d11 trained."""
    store, suite = Store(old), tmp_path / "suite.yaml"
    suite.write_text(suite.read_text().replace("[elbo, ", "[elbo, sparsity, "))
    plan, *_ = planned(suite, old, Launch(), Changes(only={"estimator": ["mc"]}))
    before = {path: path.read_bytes() for path in (old / "checkpoints").iterdir()}
    for item in plan.runs:
        job = Selection().job(item) or Selection(refresh=True).job(item)
        assert execute(job if job.trained else type(job)(job.run, job.evaluations, trained=True), registry, store, "cpu") is None
    assert {path: path.read_bytes() for path in (old / "checkpoints").iterdir()} == before
    assert set(store.read("metrics")["evaluation"]) == {"elbo", "active_units", "dictionary", "sparsity"}


def test_a_damaged_file_of_an_older_schema_is_no_older_schema(old, cli):
    """A column that schema 2 had is missing, or has another type."""
    path = sorted((old / "runs").iterdir())[0]
    rows = pq.read_table(path)
    for changed in (rows.drop_columns(["status"]), rows.set_column(rows.column_names.index("status"), "status", rows["seed"])):
        pq.write_table(changed, path)
        answer = cli("status", "--results", old)
        assert answer.code == 2
        assert f"{path} is damaged (column 'status' is" in answer.err
        assert "expected string" in answer.err
