"""Leaderboards: what a cell averages over, what it counts, which rows can be told apart, and what is said of the rest."""

import json
import re

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from latentbench.errors import UserError
from latentbench.registry import load_registry
from latentbench.reporting import Query, Statistics, compare
from latentbench.results.asked import Asked
from latentbench.results.store import Store
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

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


def add(store, run_id, value, metric="nelbo", better="lower", evaluation="e-1", options="{}", **settings):
    """A run, and its value of a metric, which no value is a failed one's; `settings` are columns of `runs`."""
    run = {"estimator": "mc", "dataset": "digits", "latent_dim": 4, "beta": 1.0, "training": '{"epochs": 3}', **settings}
    store.write_rows("runs", run_id, [{"run_id": run_id, "status": "failed" if value is None else "done", **run}])
    if value is not None:
        measure(store, run_id, value, metric, better, evaluation, options)


def measure(store, run_id, value, metric="nelbo", better="lower", evaluation="e-1", options="{}"):
    """A metric of a run, as its evaluation stores it."""
    key = {"run_id": run_id, "evaluation": evaluation.partition("-")[0], "evaluation_id": evaluation}
    declared = {metric: {"better": better, "unit": "nats", "meaning": "A cost."}}
    store.write_rows("evaluations", f"{run_id}-{evaluation}", [{**key, "options": options, "metrics": json.dumps(declared)}])
    store.write_rows("metrics", f"{run_id}-{evaluation}", [{**key, "split": "validation", "metric": metric, "value": value}])


def board(store, statistics=None, metrics=(), asked=None, **query):
    return compare([store.path], Query(**query), statistics or Statistics(), metrics, asked)


def cell_of(result, *row, column=0):
    """The cell of a row."""
    return result.cells[list(result.rows).index(row)][column]


def test_means_and_student_intervals_best_first(store):
    result = board(store, rows=("family",))
    assert result.rows == [("gaussian",), ("poisson",)]
    for row, cells in zip(result.rows, result.cells, strict=True):
        values = np.array(VALUES[row[0]])
        low, high = stats.t.interval(0.99, len(values) - 1, values.mean(), stats.sem(values))
        assert cells[0].mean == pytest.approx(values.mean())
        assert (cells[0].low, cells[0].high) == pytest.approx((low, high))


def test_what_is_better_is_as_declared(tmp_path):
    store = Store(tmp_path / "r")
    for family, value in (("poisson", 0.9), ("gaussian", 0.1)):
        for seed in (1, 2):
            add(store, f"{family}{seed}", value + seed / 100, "r2", "higher", family=family, seed=seed)
    assert board(store, metric="r2", rows=("family",)).rows[0] == ("poisson",)


@pytest.mark.parametrize(("key", "value"), [("beta", 1), ("beta", 1.0), ("beta", "1.0"), ("latent_dim", 4.0), ("training.steps", 2e6), ("seed", 1.0)])
def test_only_compares_numbers_as_numbers(key, value, store):
    add(store, "other", 1.0, family="laplace", seed=1, beta=2.0, latent_dim=5, training='{"steps": 3}')
    add(store, "long", 7.0, family="laplace", seed=1, training='{"steps": 2000000}')
    result = board(store, rows=("family",), only={"family": ["laplace"], key: [value], "beta": [1.0]})
    assert result.cells[0][0].mean == 7.0


def test_failed_seeds_are_counted(store):
    cell = cell_of(board(store, rows=("family",)), "poisson")
    assert (cell.n, cell.failed, cell.missing) == (3, 1, 0)


def test_a_seed_that_another_row_has_is_missing(store):
    add(store, "more", 9.9, family="gaussian", seed=7)
    cell = cell_of(board(store, rows=("family",)), "poisson")
    assert (cell.n, cell.failed, cell.missing) == (3, 1, 1)


def test_failed_runs_of_other_settings_belong_to_no_cell(store):
    for name, training in (("short", '{"epochs": 1}'), ("shorter", '{"epochs": 2}')):
        add(store, name, 1.0, family=name, seed=0, training=training)  # epochs vary in the folder
    add(store, "other", None, family="poisson", seed=5, training='{"epochs": 1}')
    result = board(store, rows=("family",))
    assert cell_of(result, "poisson").failed == 1
    assert result.hidden["failed runs of other settings"] == 1


def test_numbers_that_are_none_are_counted_apart_and_are_in_no_mean(store):
    add(store, "nan", float("nan"), family="gaussian", seed=3)
    add(store, "inf", float("inf"), family="gaussian", seed=4)
    cell = cell_of(board(store, rows=("family",)), "gaussian")
    assert (cell.n, cell.nan, cell.infinite) == (3, 1, 1)
    assert cell.mean == pytest.approx(np.mean(VALUES["gaussian"]))


def test_runs_without_the_metric_are_counted(store):
    add(store, "other", 1.0, "r2", "higher", family="ista", seed=0)
    assert board(store, rows=("family",)).hidden == {"runs without the metric": 1}


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
        compare([store.path, other.path], Query("nelbo", ("family",), ()))
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
        compare([store.path, other.path], Query(rows=("family",)))
    result = compare([store.path, other.path], Query(rows=("family",), columns=("store",)))
    assert len(result.columns) == 2


SUMMARY = {"family": "poisson", "metric": "nelbo", "split": "validation", "value": 167.2, "interval": 0.1, "source": "a paper: Table 1"}


def test_runs_are_shown_where_there_are_some_and_summaries_are_counted(store):
    store.write_rows("summaries", "t", [SUMMARY, {**SUMMARY, "family": "laplace"}])
    result = board(store, rows=("family",))
    assert cell_of(result, "poisson").n == 3
    assert (cell_of(result, "laplace").mean, cell_of(result, "laplace").n) == (167.2, None)
    assert result.hidden == {"summaries": 1}
    assert len(board(store, rows=("family",), values_of="runs").rows) == 2
    assert len(board(store, rows=("family",), values_of="summaries").rows) == 2


def test_summaries_stand_for_runs_that_would_be_averaged_over_settings(store):
    store.write_rows("summaries", "t", [SUMMARY])
    add(store, "other", 1.0, family="poisson", seed=9, beta=2.0)
    result = board(store, rows=("family",))
    assert [cell_of(result, "poisson").mean, len(result.rows)] == [167.2, 1]
    assert result.hidden == {"runs that published summaries stand for (--from runs shows them)": 8}
    with pytest.raises(UserError, match=r"beta: 1, 2"):
        board(store, rows=("family",), values_of="runs")


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
    with pytest.raises(UserError, match=r"no result that is asked for has the metric 'nelbo'"):
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
        compare([tmp_path / "nowhere"], Query())


DECLARED = '{"nelbo": {"less_constant": true, "estimate": %s}, "r2": {"less_constant": false, "estimate": false}}'


def add_measured(store, run_id, likelihood, constant, dataset="digits", estimate="false"):
    add(store, run_id, 1.0, family="poisson", seed=0, likelihood=likelihood, cost_constant=constant, dataset=dataset)
    (store.path / "metrics" / f"{run_id}-e-1.parquet").unlink()
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


def test_settings_that_differ_in_the_seventh_digit_are_two(store):
    add(store, "other", 1.0, family="poisson", seed=9, beta=1.0000001)
    with pytest.raises(UserError, match=r"beta: 1, 1\.0000001"):
        board(store, rows=("family",))


def test_two_evaluations_of_a_metric_are_never_pooled(store):
    for seed in range(3):
        measure(store, f"gaussian{seed}", 0.1, evaluation="f-1", options='{"rule": "paper"}')
    with pytest.raises(UserError, match=r"measured by several evaluations of one run \(e-1, which is e, f-1, which is f\(rule=paper\)\)"):
        board(store, rows=("family",))
    assert board(store, rows=("family",), evaluations=frozenset({"f(rule=paper)"})).cells[0][0].mean == pytest.approx(0.1)
    with pytest.raises(UserError, match=r"unknown evaluation 'f\(rule=figure4\)' \(did you mean 'f\(rule=paper\)'\?\)"):
        board(store, rows=("family",), evaluations=frozenset({"f(rule=figure4)"}))


def test_several_metrics_stand_side_by_side(store):
    for family, values in VALUES.items():
        for seed, value in enumerate(values):
            measure(store, f"{family}{seed}", -value, "r2", "higher", "f-1")
    result = board(store, metrics=["r2"], rows=("family",))
    assert [(column.metric, column.better) for column in result.columns] == [("nelbo", "lower"), ("r2", "higher")]
    assert cell_of(result, "gaussian", column=1).mean == -cell_of(result, "gaussian").mean
    assert result.ranks is None  # of two metrics there is no mean rank


def test_a_failed_run_counts_only_where_its_like_have_the_metric(store):
    """Not where its publication has no value of it, nor where trained runs of its cell lack it."""
    add(store, "other", None, family="laplace", seed=0, source="a paper: frame 1")
    add(store, "coder", None, family="ista", seed=0)
    add(store, "coder2", 1.0, "r2", "higher", family="ista", seed=1)
    add(store, "fails", None, family="categorical", seed=0)
    result = board(store, rows=("family",))
    assert [row for (row,) in result.rows] == ["gaussian", "poisson", "categorical"]
    assert cell_of(result, "categorical").failed == 1
    assert result.hidden == {"runs without the metric": 3}


def made(store, spread=0.1, families=("a", "b", "c", "d"), seeds=5, shift=1.0, **settings):
    """Rows whose values have an effect of the family and one of the seed, known to nobody else; family -> values by seed."""
    rng = np.random.default_rng(1)
    of_seed = rng.normal(size=seeds)
    values = {f: i * shift + of_seed + spread * rng.normal(size=seeds) for i, f in enumerate(families)}
    for family, mine in values.items():
        for seed, value in enumerate(mine):
            add(store, f"{family}{seed}", float(value), family=family, seed=seed, **settings)
    return values


def holm(values):
    """Adjusted p-values of all pairs of rows, by scipy and statsmodels."""
    names = sorted(values)
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    p = [stats.ttest_rel(values[one], values[other]).pvalue for one, other in pairs]
    return dict(zip(pairs, multipletests(p, method="holm")[1], strict=True))


def test_rows_are_told_apart_by_paired_tests_adjusted_over_all_pairs(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=0.25)
    result = board(store, rows=("family",))
    p = holm(values)
    assert {p[pair] < 0.01 for pair in p} == {True, False}  # there are both kinds
    for (one, other), value in p.items():
        shared = set(cell_of(result, one).letters) & set(cell_of(result, other).letters)
        assert bool(shared) == (value >= 0.01)
    contrast = cell_of(result, "b").contrast
    assert (contrast.paired, contrast.n) == (True, 5)
    assert contrast.mean == pytest.approx(np.mean(values["b"] - values["a"]))
    assert contrast.adjusted == pytest.approx(p["a", "b"])
    assert contrast.correlation == pytest.approx(np.corrcoef(values["b"], values["a"])[0, 1])


def test_stars_mark_all_that_may_be_best_and_ranks_leave_what_tests_leave(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=0.25)
    result = board(store, rows=("family",))
    p = holm(values)
    for name in values:
        apart = {other: p[min(name, other), max(name, other)] < 0.01 for other in values if other != name}
        better = sum(apart[other] and values[other].mean() < values[name].mean() for other in apart)
        worse = sum(apart[other] and values[other].mean() > values[name].mean() for other in apart)
        assert cell_of(result, name).rank == (1 + better, 4 - worse)
        assert cell_of(result, name).star == (name == "a" or not apart["a"])


def test_rows_of_one_seed_are_shown_and_neither_ranked_nor_starred(tmp_path):
    store = Store(tmp_path / "r")
    made(store, families=("a", "b"))
    add(store, "best", -9.0, family="c", seed=0)
    cell = cell_of(board(store, rows=("family",)), "c")
    assert (cell.mean, cell.n, cell.rank, cell.star, cell.letters, cell.low) == (-9.0, 1, None, False, "", None)


def test_a_single_row_has_no_star(tmp_path):
    store = Store(tmp_path / "r")
    made(store, families=("a",))
    assert board(store, rows=("family",)).best == frozenset()


def test_a_filter_of_rows_leaves_the_family_of_comparisons_as_it_is(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=0.25)
    result = board(store, rows=("family",), only={"family": ["a", "b"]})
    assert result.rows == [("a",), ("b",)]
    assert cell_of(result, "b").contrast.adjusted == pytest.approx(holm(values)["a", "b"])
    assert result.hidden == {"rows left out by --only": 2}


def test_a_baseline_of_a_suite_makes_its_comparisons_the_family(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=0.25)
    result = board(store, Statistics(baseline={"family": "b"}, only_baseline=True), rows=("family",))
    others = ["a", "c", "d"]
    p = multipletests([stats.ttest_rel(values[other], values["b"]).pvalue for other in others], method="holm")[1]
    assert [cell_of(result, other).contrast.adjusted for other in others] == pytest.approx(list(p))
    assert cell_of(result, "b").contrast is None
    assert result.baseline == ("b",)


def test_benjamini_and_hochberg_by_name_and_ranks_by_holm(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=0.25)
    result = board(store, Statistics(adjust="bh"), rows=("family",))
    p = [stats.ttest_rel(values[one], values[other]).pvalue for one, other in holm(values)]
    bh = dict(zip(holm(values), multipletests(p, method="fdr_bh")[1], strict=True))
    assert cell_of(result, "c").contrast.adjusted == pytest.approx(bh["a", "c"])
    assert [cell_of(result, name).rank for name in values] == [cell_of(board(store, rows=("family",)), name).rank for name in values]


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"family": "z"}, "--baseline family=z names no rows; rows are family=a; family=b"),
        ({"beta": 1}, "--baseline beta=1: 'beta' names no rows; rows are named by family"),
    ],
)
def test_a_baseline_that_is_no_row_is_named(tmp_path, baseline, message):
    store = Store(tmp_path / "r")
    made(store, families=("a", "b"))
    with pytest.raises(UserError, match=message):
        board(store, Statistics(baseline=baseline), rows=("family",))


@pytest.mark.parametrize("confidence", [0, 1, -1, float("nan")])
def test_a_confidence_is_between_0_and_1(confidence):
    with pytest.raises(UserError, match="expected a number between 0 and 1"):
        Statistics(confidence)


def test_the_confidence_is_that_of_intervals_and_tests(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=0.1)
    result = board(store, Statistics(0.6), rows=("family",))
    low, high = stats.t.interval(0.6, 4, values["a"].mean(), stats.sem(values["a"]))
    assert (cell_of(result, "a").low, cell_of(result, "a").high) == pytest.approx((low, high))
    shared = set(cell_of(result, "a").letters) & set(cell_of(result, "b").letters)
    assert bool(shared) == (holm(values)["a", "b"] >= 0.4)


def test_rows_of_two_folders_are_not_paired(tmp_path):
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    a, b = made(one, families=("a",))["a"], made(other, families=("b",), spread=0.5)["b"]
    result = compare([one.path, other.path], Query(rows=("family",)))
    contrast = next(cell.contrast for (cell,) in result.cells if cell.contrast)
    assert not contrast.paired
    assert contrast.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_a_derived_metric_is_named_like_a_stored_one_and_printed_values_of_it_can_be_seen(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, shift=10.0, families=("a", "b"))
    for family, mine in values.items():
        for seed, value in enumerate(mine):
            add(store, f"{family}{seed}x", float(value) + 100, family=family, seed=seed, estimator="exact")
    store.write_rows("summaries", "t", [{**SUMMARY, "metric": "percent_drop", "value": 0.7, "estimator": "mc"}])
    query = {"metric": "percent_drop(of=nelbo)", "rows": ("family", "estimator")}
    (cell,) = board(store, **query).cells[0]
    assert cell.n == 5
    printed = board(store, metric="percent_drop", rows=("family",), values_of="summaries")
    assert [cell.mean for (cell,) in printed.cells] == [0.7]


def test_mean_ranks_need_every_row_in_every_column(tmp_path):
    store = Store(tmp_path / "r")
    values = made(store, families=("a", "b"))
    for family, mine in values.items():
        for seed, value in enumerate(-mine):
            add(store, f"{family}{seed}-m", float(value), family=family, seed=seed, dataset="mnist")
    assert board(store, rows=("family",), columns=("dataset",)).ranks == [1.5, 1.5]
    add(store, "c", 1.0, family="c", seed=0)
    assert board(store, rows=("family",), columns=("dataset",)).ranks is None


SUITE = """\
name: two
seeds: [1, 2, 3]
evaluations: [elbo]
sweeps:
  - {family: [poisson, gaussian], estimator: exact, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 4}}
"""


@pytest.fixture
def asked_for(tmp_path):
    """A folder with two of three seeds of a suite, and runs of another one, and what the suite asks for."""
    (tmp_path / "two.yaml").write_text(SUITE)
    plan = make_plan(load_suite(tmp_path / "two.yaml"), load_registry(), "cpu")
    store = Store(tmp_path / "r")
    for item in plan.runs:
        row = item.run.to_row()
        (evaluation,) = item.evaluations
        if item.run.seed != 3:
            store.write_rows("runs", item.run.id, [{**row, "status": "done"}])
            measure(store, item.run.id, float(item.run.seed), evaluation=evaluation.id)
        other = f"{item.run.id}x"
        store.write_rows("runs", other, [{**row, "run_id": other, "latent_dim": 8, "status": "done"}])
        measure(store, other, 99.0, evaluation=evaluation.id)
    return store, Asked.of(plan)


def test_of_a_suite_only_its_own_runs_are_shown_and_those_not_run_are_missing(asked_for):
    store, asked = asked_for
    with pytest.raises(UserError, match="latent_dim: 4, 8"):
        board(store, rows=("family",))
    result = board(store, rows=("family",), asked=asked)
    assert [(cell.mean, cell.n, cell.missing) for (cell,) in result.cells] == [(1.5, 2, 1), (1.5, 2, 1)]


def test_published_results_that_agree_with_a_suite_stand_beside_its_runs(asked_for, tmp_path):
    store, asked = asked_for
    published = Store(tmp_path / "published")
    stated = {"dataset": "digits", "decoder": "linear", "metric": "nelbo", "split": "validation", "interval": 0.1, "source": "a paper: Table 1"}
    rows = [{**stated, "family": "poisson", "latent_dim": k, "value": float(k)} for k in (4, 5)]
    published.write_rows("summaries", "t", rows)
    result = compare([store.path, published.path], Query(rows=("family",), columns=("store",)), asked=asked)
    assert [cell.mean for cell in result.cells[list(result.rows).index(("poisson",))]] == [4.0, 1.5]


def test_a_suite_without_runs_in_the_folder_is_said(asked_for, tmp_path):
    _, asked = asked_for
    other = Store(tmp_path / "other")
    add(other, "a", 1.0, family="poisson", seed=1)
    with pytest.raises(UserError, match=r"no run of the suite 'two' is in .*other"):
        board(other, rows=("family",), asked=asked)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"limit_data": 0.5}, r"limit_data 0\.5, where most rows have 1"),
        ({"versions": '{"torch": "2.7"}'}, r"versions torch 2\.7"),
        ({"sources": '{"a.py": "1", "b.py": "3"}'}, r"made by other code than other rows: b\.py"),
        ({"device": "cuda", "device_name": "A100"}, r"device cuda, where most rows have cpu"),
        ({"training": '{"epochs": 4}'}, r"training\.epochs 4, where most rows have 3"),
    ],
)
def test_rows_that_differ_in_more_than_their_names_say_so(tmp_path, settings, note):
    store = Store(tmp_path / "r")
    usual = {"limit_data": 1.0, "versions": '{"torch": "2.6"}', "sources": '{"a.py": "1", "b.py": "2"}', "device": "cpu"}
    made(store, families=("a", "b"), **usual)
    made(store, families=("c",), **{**usual, **settings})
    result = board(store, rows=("family",))
    assert [cell_of(result, name).marks for name in ("a", "b", "c")] == ["", "", "1"]
    assert list(result.footnotes) == ["1"]
    assert re.search(note, result.footnotes["1"])


def test_rows_that_were_evaluated_otherwise_say_so(tmp_path):
    store = Store(tmp_path / "r")
    made(store, families=("a", "b"))
    made(store, families=("c",), evaluation="e-2")
    result = board(store, rows=("family",))
    assert result.footnotes == {"1": "evaluation e-2, where most rows have e-1"}


def test_settings_that_only_one_family_reads_are_no_difference(tmp_path):
    store = Store(tmp_path / "r")
    made(store, families=("a", "b"))
    made(store, families=("c",), family_options='{"truncate": false}', training='{"epochs": 3, "temperature_stop": 0.05}')
    assert board(store, rows=("family",)).footnotes == {}
