"""Made-up results are what latentbench takes for its own."""

import numpy as np
import pandas as pd
import pytest

from latentbench.results.asked import records
from latentbench.results.snapshot import Snapshot
from latentbench.results.states import with_states
from latentbench.results.store import Store
from latentbench.suites.run_state import Kind
from latentbench.suites.suite import load_suite
from tests.made import make


@pytest.fixture(scope="module")
def quick(root, registry, tmp_path_factory):
    return make(root / "suites" / "quick.yaml", tmp_path_factory.mktemp("made"), failed=0.12, registry=registry)


def states(made, registry):
    return {item.run.id: item.state.kind for item in with_states(made.plan, Snapshot.read(Store(made.folder)), registry).runs}


def test_all_runs_are_done_but_those_that_failed(quick, registry):
    found = states(quick, registry)
    assert {run_id for run_id, kind in found.items() if kind is Kind.FAILED} == quick.failed.keys()
    assert {kind for run_id, kind in found.items() if run_id not in quick.failed} == {Kind.DONE}
    assert "evaluation" in quick.failed.values()


def test_the_suite_is_recorded_as_run_there(quick, root):
    (record,) = records(quick.folder, load_suite(root / "suites" / "quick.yaml").digest)
    assert record.runs.keys() == {item.run.id for item in quick.plan.runs}


def test_runs_of_other_code_are_stale(root, registry, tmp_path):
    made = make(root / "suites" / "quick.yaml", tmp_path, seeds=[1], arrays=False, other_code=True, registry=registry)
    assert set(states(made, registry).values()) == {Kind.STALE}


def test_the_numbers_depend_on_the_seed_alone(quick, root, registry, tmp_path):
    same = make(root / "suites" / "quick.yaml", tmp_path / "same", failed=0.12, arrays=False, registry=registry)
    other = make(root / "suites" / "quick.yaml", tmp_path / "other", failed=0.12, seed=1, arrays=False, registry=registry)
    one, again, another = (pd.read_parquet(made.folder / "metrics") for made in (quick, same, other))
    pd.testing.assert_frame_equal(one, again)
    both = one[one["metric"] == "nelbo"].merge(another[another["metric"] == "nelbo"], on="run_id", suffixes=("_one", "_other"))
    assert (both["value_one"] != both["value_other"]).all()


def test_units_sum_to_the_kl_that_is_stored(quick):
    metrics, units = (pd.read_parquet(quick.folder / table) for table in ("metrics", "units"))
    stored = metrics[metrics["metric"] == "kl"].set_index("run_id")["value"]
    summed = units[units["metric"] == "kl"].groupby("run_id")["value"].sum()
    pd.testing.assert_series_equal(summed, stored, check_names=False, check_like=True)


def test_seeds_pair(root, registry, tmp_path):
    made = make(root / "suites" / "quick.yaml", tmp_path, seeds=range(1, 9), arrays=False, registry=registry)
    runs, metrics = (pd.read_parquet(made.folder / table) for table in ("runs", "metrics"))
    values = metrics[metrics["metric"] == "nelbo"].merge(runs[["run_id", "family", "estimator", "dataset", "seed"]], on="run_id")
    table = values[values["dataset"] == "digits"].pivot(index="seed", columns=["family", "estimator"], values="value")
    pairs = table.corr().to_numpy()[np.triu_indices(table.shape[1], 1)]
    assert np.median(pairs) > 0.6


def test_arrays_are_those_of_the_evaluations(quick):
    done = [item for item in quick.plan.runs if item.run.seed == 1 and item.run.id not in quick.failed]
    (item, *_) = [item for item in done if item.run.family == "poisson"]
    found = {path.stem.partition("-")[0] for path in (quick.folder / "arrays" / item.run.id).iterdir()}
    assert found == {"elbo", "dictionary"}
    assert list((quick.folder / "pictures" / item.run.id).glob("dictionary-*-dictionary.png"))
