"""The published numbers: their tables follow from the CSV files, each fit is there once, and the printed values follow from the fits."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentbench.results.store import Store
from latentbench.results.tables import SETTINGS, TABLES
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

CELL = ["family", "estimator", "dataset", "encoder"]


@pytest.fixture(scope="module")
def folder(root):
    return root / "results" / "published"


@pytest.fixture(scope="module")
def csv_files(root):
    """The folder with the CSV files, which is no part of the project."""
    path = Path(os.environ.get("LATENTBENCH_PAPER", root.parent / "shared" / "paper"))
    if not (path / "published_seeds.csv").exists():
        pytest.skip("the CSV files are not beside the checkout; LATENTBENCH_PAPER names their folder")
    return path


@pytest.fixture(scope="module")
def fits(folder):
    """The authors' fits of the paper's tables, a row a fit and a column a metric."""
    runs, metrics = pd.read_parquet(folder / "runs" / "seeds.parquet"), pd.read_parquet(folder / "metrics" / "seeds.parquet")
    return runs.merge(metrics.pivot(index="run_id", columns="metric", values="value").reset_index(), on="run_id")


@pytest.fixture(scope="module")
def main_fits(fits):
    """Those with the settings of Tables 2, 3 and 5."""
    return fits[(fits["beta"] == 1) & (fits["latent_dim"] == 512)]


def printed(folder, table):
    return pd.read_parquet(folder / "summaries" / f"{table}.parquet")


def test_the_tables_follow_from_the_csv_files(folder, csv_files, tmp_path):
    subprocess.run([sys.executable, folder / "build.py", csv_files, "--into", tmp_path], check=True)
    for table in TABLES:
        names = sorted(path.name for path in (folder / table).glob("*.parquet"))
        assert names == sorted(path.name for path in (tmp_path / table).glob("*.parquet"))
        for name in names:
            pd.testing.assert_frame_equal(pd.read_parquet(folder / table / name), pd.read_parquet(tmp_path / table / name))


def test_every_fit_is_there_once(folder):
    runs = Store(folder).read("runs")
    assert runs["run_id"].is_unique
    settings = [name for name in SETTINGS if name != "protocol"]
    assert not runs.duplicated([*settings, "seed", "source"]).any()


def test_a_fit_that_several_tables_need_has_them_all_in_its_source(fits):
    at_512 = fits[(fits["family"] == "poisson") & (fits["estimator"] == "mc") & (fits["dataset"] == "van_hateren") & (fits["latent_dim"] == 512)]
    of_tables = at_512[at_512["beta"] == 1]
    assert len(of_tables) == 10
    assert set(of_tables["source"]) == {"Poisson VAE (NeurIPS 2024): frames of tables 2 3 5 and figures 5 7 8"}
    assert set(at_512.loc[at_512["beta"] != 1, "source"]) == {"Poisson VAE (NeurIPS 2024): frames of figures 5 8"}


def test_the_lifetime_sparsity_of_figure_5a_is_that_of_the_fits(fits):
    sparse = fits[fits["lifetime_sparsity"].notna()]
    assert len(sparse) == 40
    assert sorted(set(sparse["beta"])) == [0.01, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 4]
    assert set(zip(sparse["family"], sparse["encoder"], sparse["latent_dim"], strict=True)) == {("poisson", "linear", 512)}


@pytest.mark.parametrize(("table", "metric", "values"), [("table3", "active_fraction", 18), ("table5", "nelbo", 60)])
def test_means_of_the_fits_are_the_printed_values(folder, main_fits, table, metric, values):
    means = main_fits[main_fits["status"] == "done"].groupby(CELL)[metric].mean()
    expected = printed(folder, table)
    assert len(expected) == values
    for row in expected.to_dict("records"):
        assert abs(means[tuple(row[name] for name in CELL)] - row["value"]) <= unit(row["value"], metric) / 2 + 1e-9, row


def unit(value, metric):
    """The last digit that is printed: shares have three, one of them two."""
    return 10.0 ** -(3 if metric == "active_fraction" and round(value, 2) != value else 2 if metric == "active_fraction" else 1)


def test_bars_of_the_fits_are_the_printed_ones(folder, main_fits):
    """The authors' bar is 4.604 sd / sqrt(5), the standard deviation over n."""
    groups = main_fits[main_fits["status"] == "done"].groupby(CELL)["nelbo"]
    bars = 4.604 * groups.std(ddof=0) / np.sqrt(groups.size())
    for row in printed(folder, "table5").to_dict("records"):
        assert abs(bars[tuple(row[name] for name in CELL)] - row["interval"]) <= 0.05 + 1e-9, row


def test_all_drops_of_table_2_but_one_follow_from_the_fits(folder, main_fits):
    """The odd one is the Poisson VAE with `mc` and a convolutional encoder on MNIST: the data give 1.5, and .9 is printed."""
    best = main_fits.groupby(["family", "dataset", "encoder"])["nelbo"].min().rename("best").reset_index()
    drops = main_fits.merge(best).assign(drop=lambda frame: 100 * (frame["nelbo"] - frame["best"]) / frame["best"]).groupby(CELL)["drop"].mean()
    expected = printed(folder, "table2")
    assert len(expected) == 30
    odd = [row for row in expected.to_dict("records") if abs(drops[tuple(row[name] for name in CELL)] - row["value"]) > 0.05 + 1e-9]
    (row,) = odd
    assert [row[name] for name in CELL] == ["poisson", "mc", "mnist", "conv"]
    assert row["value"] == 0.9
    assert round(drops["poisson", "mc", "mnist", "conv"], 1) == 1.5


def test_fits_have_the_settings_of_our_runs(fits, root, registry):
    """Of every suite's runs that have their combination; the kind of device is theirs, and so are initial weights, which are not published."""
    plan = make_plan(load_suite(root / "suites" / "paper.yaml"), registry, "cuda")
    names = [name for name in SETTINGS if name not in ("encoder_options", "compile")]
    ours = {settings(item.run.to_row(), names) for item in plan.runs if item.run.seed == 1 and item.run.encoder is not None}
    theirs = {settings(row, names) for row in fits[fits["seed"] == 1].to_dict("records")}
    assert len(theirs) == 124
    assert theirs <= ours


def settings(row, names):
    return tuple(json.dumps(json.loads(row[name]), sort_keys=True) if name.endswith("options") or name == "training" else row[name] for name in names)


def test_sparse_coders_have_no_setting_that_ours_lack(folder, root, registry):
    plan = make_plan(load_suite(root / "suites" / "sparse_coding.yaml"), registry, "cpu")
    known = set().union(*(item.run.family_options for item in plan.runs))
    runs = pd.read_parquet(folder / "runs" / "sparse_coding.parquet")
    assert len(runs) == 659
    assert set().union(*map(json.loads, runs["family_options"])) <= known
    cells = ["family", "family_options", "training"]
    assert not runs.duplicated([*cells, "seed"]).any()


def test_equal_sparse_coders_are_averaged_over_seeds_of_one_schedule(folder):
    """Fits that the frame has together are alike, and those of another schedule that starts alike are not."""
    runs, metrics = (pd.read_parquet(folder / table / "sparse_coding.parquet") for table in ("runs", "metrics"))
    errors = runs.merge(metrics[metrics["metric"] == "sse_at_mean"], on="run_id")
    chosen = errors[(errors["family"] == "lca") & (errors["training"].map(lambda text: json.loads(text)["learning_rate"]) == 0.01)]
    chosen = chosen.assign(schedule=chosen["family_options"].map(lambda text: json.loads(text)["l1_weight"]))
    groups = chosen.groupby("schedule")["value"]
    assert (groups.std().dropna() < 0.5).all()
    assert groups.mean()["0.05:?:? (2)"] - groups.mean()["0.05:?:? (1)"] > 10


def test_metrics_are_declared_as_our_evaluations_declare_them(folder, registry):
    """Direction, unit and index, and what decides what may be compared."""
    ours = {}
    for part in registry.parts["evaluations"].values():
        ours |= {(part.name, name): measure for name, measure in part.metrics.items()}
        if part.reports_costs:
            ours |= {(part.name, name): m for family in registry.parts["families"].values() for name, m in family.measures.items()}
    checked = 0
    for row in Store(folder).read("evaluations").drop_duplicates(["evaluation_id", "metrics"]).to_dict("records"):
        for name, declared in json.loads(row["metrics"]).items():
            measure = ours.get((row["evaluation"], name))
            if measure is not None:
                for field in ("better", "unit", "index", "less_constant", "of_kl", "meaning"):
                    assert declared[field] == getattr(measure, field), (name, field)
                checked += 1
    assert checked > 15


def test_all_metrics_are_declared_where_they_are_stored(folder):
    store = Store(folder)
    declared = {(row["run_id"], name) for row in store.read("evaluations").to_dict("records") for name in json.loads(row["metrics"])}
    metrics = store.read("metrics")
    assert set(zip(metrics["run_id"], metrics["metric"], strict=True)) <= declared
    for path in (folder / "summaries").glob("*.parquet"):
        assert {(path.stem, name) for name in pd.read_parquet(path)["metric"]} <= declared


def test_evaluations_have_the_options_of_ours_that_matter(folder, registry):
    """So that an evaluation that is named by its options names both."""
    for row in Store(folder).read("evaluations").drop_duplicates("evaluation_id").to_dict("records"):
        part = registry.parts["evaluations"].get(row["evaluation"])
        if part is not None:
            part.options_model.model_validate(json.loads(row["options"]))


def test_costs_leave_out_the_constant_of_a_variance_of_one_half(fits):
    for dataset, pixels in (("mnist", 784), ("van_hateren", 256), ("cifar16", 256)):
        (constant,) = set(fits.loc[fits["dataset"] == dataset, "cost_constant"])
        assert constant == pytest.approx(pixels / 2 * math.log(math.pi))


def test_the_two_fits_without_losses_have_failed(fits):
    failed = fits[fits["status"] == "failed"]
    assert set(failed["failure_kind"]) == {"non-finite"}
    assert [tuple(row) for row in failed[[*CELL, "seed"]].to_numpy()] == [("categorical", "mc", "mnist", "conv", seed) for seed in (2, 3)]
    assert failed["nelbo"].isna().all()
    assert fits.loc[fits["status"] == "done", "nelbo"].notna().all()


@pytest.mark.parametrize(
    ("name", "metric", "settings", "value"),
    [
        ("iterative_rate_distortion", "r2_per_image", {"family": "iterative_poisson", "beta": 24.0, "steps": 16}, 0.826882),
        ("iterative_rate_distortion", "zero_fraction", {"family": "iterative_gaussian+relu", "beta": 8.0, "steps": 16}, 0.577466),
        ("iterative_mnist", "linear_probe_accuracy", {"family": "iterative_poisson", "seed": 0}, 0.9637),
    ],
)
def test_numbers_of_the_follow_ups(folder, name, metric, settings, value):
    runs, metrics = pd.read_parquet(folder / "runs" / f"{name}.parquet"), pd.read_parquet(folder / "metrics" / f"{name}.parquet")
    frame = runs.assign(steps=runs["family_options"].map(lambda text: json.loads(text).get("steps")))
    for key, wanted in settings.items():
        frame = frame[frame[key] == wanted]
    (run_id,) = frame["run_id"]
    (found,) = metrics.loc[(metrics["run_id"] == run_id) & (metrics["metric"] == metric), "value"]
    assert found == pytest.approx(value)


def test_curves_of_the_iterative_models_end_near_the_values_of_their_other_frame(folder):
    """R2 .830 after 1,000 steps for T = 16, beta = 24; .827 in the frame of rate and distortion."""
    runs, metrics = (pd.read_parquet(folder / table / "iterative_convergence.parquet") for table in ("runs", "metrics"))
    (run_id,) = runs.loc[runs["family"] == "iterative_poisson", "run_id"]
    curve = metrics[(metrics["run_id"] == run_id) & (metrics["metric"] == "r2_per_image_at")].set_index("index")["value"]
    assert [round(curve[t], 3) for t in (1, 16, 1000)] == [-0.016, 0.708, 0.830]


def test_fits_of_the_metabolic_cost_have_minutes_and_no_metric(folder):
    runs = pd.read_parquet(folder / "runs" / "metabolic_cost.parquet")
    assert len(runs) == 179
    assert runs["train_seconds"].sum() / 3600 == pytest.approx(294 + 100 + 14, abs=25)
    assert not (folder / "metrics" / "metabolic_cost.parquet").exists()


def test_the_folder_is_small(folder):
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1.5e6
