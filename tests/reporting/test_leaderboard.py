"""Leaderboards."""

import numpy as np
import pytest
from scipy import stats

from latentbench.errors import UserError
from latentbench.reporting import compare
from latentbench.reporting.query import Query
from latentbench.reporting.rendering import cell_text, render
from latentbench.results.store import Store

VALUES = {"poisson": [10.0, 11.0, 12.5], "gaussian": [9.0, 9.5, 9.1]}


@pytest.fixture
def store(tmp_path):
    """Three seeds of two families, one failed seed, one metric."""
    made = Store(tmp_path / "results")
    for family, values in VALUES.items():
        for seed, value in enumerate(values):
            add(made, f"{family}{seed}", value, family=family, seed=seed)
    add(made, "lost", None, family="poisson", seed=3)
    return made


def add(store, run_id, value, metric="nelbo", **settings):
    run = {"estimator": "mc", "dataset": "digits", "latent_dim": 4, "beta": 1.0, "training": '{"epochs": 3}', **settings}
    store.write_rows("runs", run_id, [{"run_id": run_id, "status": "failed" if value is None else "done", **run}])
    if value is not None:
        row = {"run_id": run_id, "evaluation": "e", "evaluation_id": "e-1", "split": "validation", "metric": metric, "value": value}
        store.write_rows("metrics", run_id, [row])


def board(store, better="lower", **query):
    return compare([store.path], Query(**query), {"nelbo": better})


def test_means_and_student_intervals_best_first(store):
    result = board(store, rows=("family",))
    assert result.rows == [("gaussian",), ("poisson",)]
    for row, cells in zip(result.rows, result.cells, strict=True):
        values = np.array(VALUES[row[0]])
        low, high = stats.t.interval(0.99, len(values) - 1, values.mean(), stats.sem(values))
        assert cells[0].mean == pytest.approx(values.mean())
        assert cells[0].interval == pytest.approx((high - low) / 2)
    assert result.best == {(0, 0)}
    assert board(store, better="higher", rows=("family",)).rows[0] == ("poisson",)


@pytest.mark.parametrize(("key", "value"), [("beta", 1), ("beta", 1.0), ("beta", "1.0"), ("latent_dim", 4.0), ("training.steps", 2e6), ("seed", 1.0)])
def test_only_compares_numbers_as_numbers(key, value, store):
    add(store, "other", 1.0, family="laplace", seed=1, beta=2.0, latent_dim=5, training='{"steps": 3}')
    add(store, "long", 7.0, family="laplace", seed=1, training='{"steps": 2000000}')
    result = board(store, rows=("family",), only={"family": ["laplace"], key: [value], "beta": [1.0]})
    assert result.cells[0][0].mean == 7.0


def test_failed_seeds_are_counted(store):
    cell = board(store, rows=("family",)).cells[1][0]
    assert (cell.n, cell.missing) == (3, 1)
    assert "(1 failed)" in cell_text(cell)
    assert "1 runs failed" in render(board(store))


def test_cells_that_mix_models_of_gpu_are_told(tmp_path):
    """Not those whose runs are on one model, on the CPU, or failed."""
    made = Store(tmp_path / "r")
    for seed, (family, device, name) in enumerate(
        [("a", "cuda", "A100"), ("a", "cuda", "H100"), ("b", "cuda", "A100"), ("b", "cuda", "A100"), ("c", "cpu", "x"), ("c", "cpu", "y")]
    ):
        add(made, f"{family}{seed}", float(seed), family=family, seed=seed, device=device, device_name=name)
    add(made, "lost", None, family="b", seed=9, device="cuda", device_name="L4")
    assert board(made, rows=("family",)).notes[-1] == "1 cells mix models of GPU: A100, H100"
    (tmp_path / "r" / "runs" / "a1.parquet").unlink()
    assert not any("mix" in note for note in board(made, rows=("family",)).notes)


@pytest.mark.parametrize("changes", [{"latent_dim": 8}, {"training": '{"epochs": 4}'}])
def test_settings_that_vary_are_not_averaged_over(store, changes):
    add(store, "other", 1.0, family="poisson", seed=9, **changes)
    with pytest.raises(UserError, match=r"cell family=poisson would average over settings that vary: (latent_dim: 4, 8|training.epochs: 3, 4)"):
        board(store, rows=("family",))
    name = "latent_dim" if "latent_dim" in changes else "training.epochs"
    assert len(board(store, rows=("family", name)).rows) == 3
    assert len(board(store, rows=("family",), only={name: [4 if name == "latent_dim" else 3]}).rows) == 2


def test_of_folders_that_differ_in_much_the_folder_is_named_first(store, tmp_path):
    other = Store(tmp_path / "other")
    many = {"latent_dim": 8, "beta": 2.0, "training": '{"epochs": 4, "batch_size": 7, "warmup": 0.5, "restarts": 3}'}
    add(other, "a", 1.0, family="poisson", seed=1, **many)
    with pytest.raises(UserError, match=r"vary: store: .*; and \d others\. Name them with --rows or --columns, as --columns store,") as error:
        compare([store.path, other.path], Query("nelbo", ("family",), ()), {})
    assert str(error.value).count("; ") == 5


def test_versions_of_plugins_are_not_averaged_over(store):
    add(store, "newer", 1.0, family="poisson", seed=9, plugins='{"family:poisson": "2"}')
    with pytest.raises(UserError, match=r"plugins.family:poisson: none, 2"):
        board(store, rows=("family",))
    assert len(board(store, rows=("family", "plugins.family:poisson")).rows) == 3


def test_runs_that_differ_in_nothing_but_their_id_are_not_averaged(store):
    add(store, "twin", 1.0, family="poisson", seed=0)
    with pytest.raises(UserError, match=r"share seeds and all their settings"):
        board(store, rows=("family",))


def test_two_folders_stand_side_by_side(store, tmp_path):
    other = Store(tmp_path / "other")
    add(other, "a", 8.0, family="poisson", seed=0)
    with pytest.raises(UserError, match=r"store:"):
        compare([store.path, other.path], Query(rows=("family",)), {})
    result = compare([store.path, other.path], Query(rows=("family",), columns=("store",)), {})
    assert len(result.columns) == 2


def test_summaries_stand_for_a_store_s_runs(store):
    row = {"family": "poisson", "metric": "nelbo", "split": "validation", "value": 167.2, "interval": 0.1, "source": "a paper"}
    store.write_rows("summaries", "t", [row])
    assert cell_text(board(store, rows=("family",)).cells[0][0]) == "167.2 ± 0.1"
    assert len(board(store, rows=("family",), values_of="runs").rows) == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"metric": "nelb"}, "unknown metric 'nelb' .did you mean 'nelbo'"),
        ({"rows": ("famly",)}, "unknown setting 'famly' .did you mean 'family'"),
        ({"only": {"family": ["laplace"]}}, "--only family=laplace: no result has it; family in these results: gaussian, poisson"),
        ({"split": "test"}, "on the split 'test'"),
    ],
)
def test_mistakes(store, query, message):
    with pytest.raises(UserError, match=message):
        board(store, **query)


def test_an_evaluation_that_nothing_was_measured_by_is_named(store):
    with pytest.raises(UserError, match=r"unknown evaluation of 'nelbo' 'e-2' \(did you mean 'e-1'\?\); known: e-1"):
        board(store, metric="nelbo", rows=("family",), evaluations=frozenset({"e-2"}))


def test_an_indexed_metric_needs_its_index(store):
    rows = [
        {
            "run_id": "poisson0",
            "evaluation": "k",
            "evaluation_id": "k-1",
            "split": "validation",
            "metric": "knn",
            "value": v,
            "index_name": "size",
            "index": i,
        }
        for i, v in ((200.0, 0.5), (1000.0, 0.6))
    ]
    store.write_rows("metrics", "knn", rows)
    with pytest.raises(UserError, match=r"a value for every size; choose one with --index: 200, 1000"):
        board(store, metric="knn")
    assert board(store, metric="knn", index=1000.0, rows=("family",)).cells[0][0].mean == 0.6


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere has no results .it does not exist"):
        compare([tmp_path / "nowhere"], Query(), {})


def test_the_paper_s_table_5(cli, root):
    """Every printed value and bar of Table 5, from the published CSV's numbers as the paper prints them."""
    answer = cli("compare", root / "results" / "published", "--metric", "nelbo", "--rows", "family,estimator", "--columns", "dataset,encoder")
    assert answer.code == 0
    header, *rest = [line for line in answer.out.splitlines() if line.strip() and not line.startswith("-")][1:]
    assert header.split()[:2] == ["family", "estimator"]
    table = {tuple(line.split()[:2]): line.replace("* ", "") for line in rest}
    printed = {
        ("poisson", "exact"): ["162.1 ± 0.1", "167.1 ± 0.2", "39.7 ± 0.2", "41.5 ± 0.1", "162.4 ± 0.2", "168.0 ± 0.8"],
        ("poisson", "straight_through"): ["182.3 ± 0.2", "182.3 ± 0.1", "44.2 ± 0.1", "44.8 ± 0.1", "179.4 ± 0.1", "179.3 ± 0.1"],
        ("gaussian", "mc"): ["149.2 ± 0.1", "165.9 ± 0.1", "40.1 ± 0.0", "40.7 ± 0.1", "154.4 ± 0.1", "160.3 ± 0.1"],
        ("categorical", "exact"): ["180.6 ± 0.5", "177.1 ± 0.1", "59.1 ± 0.0", "56.1 ± 0.7", "186.3 ± 0.8", "174.9 ± 0.1"],
        ("laplace", "exact"): ["154.3 ± 0.1", "170.1 ± 0.1", "41.0 ± 0.0", "42.1 ± 0.1", "159.0 ± 0.2", "167.3 ± 0.0"],
    }
    for key, cells in printed.items():
        assert [" ".join(cell.split()) for cell in table[key].split("  ") if "±" in cell] == cells
    assert len(table) == 10 + 1  # the paper's rows, and the note on their source


def test_the_authors_seeds_average_to_the_printed_values(root):
    source = "authors' frames of tables 2 3 5 and figures 5 7"
    stores, query = [root / "results" / "published"], {"rows": ("family", "estimator"), "columns": ("dataset", "encoder")}
    printed = compare(stores, Query(**query), {})
    seeds = compare(stores, Query(**query, values_of="runs", only={"source": [source]}), {})
    cells = {(row, column): cell for row, line in zip(seeds.rows, seeds.cells, strict=True) for column, cell in zip(seeds.columns, line, strict=True)}
    checked = 0
    for row, line in zip(printed.rows, printed.cells, strict=True):
        for column, cell in zip(printed.columns, line, strict=True):
            assert cells[row, column].mean == pytest.approx(cell.mean, abs=0.051)
            checked += 1
    assert checked == 60


DECLARED = '{"nelbo": {"less_constant": true, "estimate": %s}, "r2": {"less_constant": false, "estimate": false}}'


def add_measured(store, run_id, likelihood, constant, dataset="digits", estimate="false"):
    add(store, run_id, 1.0, family="poisson", seed=0, likelihood=likelihood, cost_constant=constant, dataset=dataset)
    metrics = [
        {"run_id": run_id, "evaluation": "e", "evaluation_id": "e-1", "split": "validation", "metric": m, "value": 1.0} for m in ("nelbo", "r2")
    ]
    store.write_rows("metrics", run_id, metrics)
    store.write_rows("evaluations", f"{run_id}-e-1", [{"run_id": run_id, "evaluation": "e", "evaluation_id": "e-1", "metrics": DECLARED % estimate}])


@pytest.mark.parametrize(
    ("query", "mixes"),
    [
        ({"rows": ("likelihood",)}, True),
        ({"rows": ("family",), "columns": ("likelihood",)}, False),
        ({"rows": ("likelihood",), "metric": "r2"}, False),
        ({"rows": ("likelihood",), "only": {"likelihood": ["gaussian"]}}, False),
    ],
)
def test_costs_that_leave_out_different_constants_share_no_column(tmp_path, query, mixes):
    store = Store(tmp_path / "results")
    add_measured(store, "a", "gaussian", 36.6)
    add_measured(store, "b", "student_t", 80.0)
    if mixes:
        with pytest.raises(UserError, match=r"leave different constants out of it \(36.6, 80 nats an image; likelihoods: gaussian, student_t\)"):
            board(store, **query)
    else:
        assert board(store, **query).cells


def test_data_sets_of_other_sizes_have_other_constants(tmp_path):
    store = Store(tmp_path / "results")
    add_measured(store, "a", "gaussian", 36.6)
    add_measured(store, "b", "gaussian", 448.7, dataset="mnist")
    assert len(board(store, rows=("dataset",)).rows) == 2


def test_an_estimated_kl_is_said_to_be_one(tmp_path):
    store = Store(tmp_path / "results")
    add_measured(store, "a", "gaussian", 36.6, estimate="true")
    assert "of 1 runs the KL is an estimate by samples" in board(store, rows=("family",)).notes
    assert not any("estimate" in note for note in board(store, rows=("family",), metric="r2").notes)
