"""Labels to reach an accuracy and their ratio: closed forms, censoring, the published means, and coverage."""

import numpy as np
import pandas as pd
import pytest
import torch
from latentbench_derived.labels import Learning
from latentbench_derived.resampling import Resampling

from latentbench.errors import UserError
from latentbench.evaluation.trained import Trained
from latentbench.execution.evaluate import evaluate
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.results.store import Store
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.resolve import assemble
from tests.derived_kit import SIZES, add, coverage, derived


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def accuracies(at_200, slope, draws=6, noise=0.0, seed=0):
    """Accuracies [3, draws] that rise by `slope` a factor of five in labels."""
    rng = np.random.default_rng(seed)
    return at_200 + slope * np.arange(3.0)[:, None] + noise * rng.normal(size=(3, draws))


def test_labels_are_read_off_between_the_logarithms_of_their_numbers(store):
    for seed in (1, 2):
        add(store, f"a{seed}", draws=accuracies(0.5, 0.1), seed=seed)
    (row,) = derived(store, "labels_to_reach(accuracy=0.65)").to_dict("records")
    expected = 1000 * 5**0.5
    assert [row[name] for name in ("value", "low", "high")] == pytest.approx([expected] * 3)
    assert (row["kind"], row["n"], row["censored"], row["seed"], row["family"]) == ("summary", 2, 0, None, "poisson")


@pytest.mark.parametrize("split", ["validation", "train"])
def test_labels_are_read_off_what_knn_stores(split, make_run, registry, store):
    """Of untrained models, whose mean accuracies are the metric's own."""
    asked = EvaluationPlan(
        "knn", {"sizes": [20, 90], "neighbours": 5, "draws": 4, "readout": "native", "split": split}, registry.evaluation("knn").version
    )
    for seed in (1, 2):
        run = make_run(family="gaussian", seed=seed).run
        model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
        trained = Trained(model, model.assembly.dataset.load(cache_folder()), run.seed)
        assert evaluate(trained, run.id, [asked], registry, store) == {}
        store.write_rows("runs", run.id, [{**run.to_row(), "run_id": run.id, "status": "done"}])
    few, many = (derived(store, "knn_accuracy", index=index, split=split)["value"].mean() for index in (20.0, 90.0))
    (row,) = derived(store, f"labels_to_reach(accuracy={(few + many) / 2})", split=split).to_dict("records")
    assert row["value"] == pytest.approx((20 * 90) ** 0.5)
    assert (row["n"], row["family"]) == (2, "gaussian")


@pytest.mark.parametrize(("accuracy", "value", "censored", "low", "high"), [(0.75, 5000, 1, 5000, np.inf), (0.45, 200, -1, 0, 200)])
def test_an_accuracy_that_no_number_of_labels_reaches_is_censored(accuracy, value, censored, low, high, store):
    for seed in (1, 2):
        add(store, f"a{seed}", draws=accuracies(0.5, 0.1), seed=seed)
    (row,) = derived(store, f"labels_to_reach(accuracy={accuracy})").to_dict("records")
    assert [row[name] for name in ("value", "censored", "low", "high")] == [value, censored, low, high]


def test_an_interval_is_open_where_some_replicates_do_not_reach_the_accuracy(store):
    for seed, at_200 in enumerate((0.55, 0.5, 0.45)):
        add(store, f"a{seed}", draws=accuracies(at_200, 0.1), seed=seed)
    (row,) = derived(store, "labels_to_reach(accuracy=0.68)").to_dict("records")
    assert row["censored"] == 0
    assert row["value"] == pytest.approx(1000 * 5**0.8)
    assert (row["low"], row["high"], row["interval"]) == (0, np.inf, None)


def test_a_curve_that_falls_is_made_to_rise(store):
    draws = np.array([0.5, 0.7, 0.6])[:, None] + np.zeros((3, 4))  # isotonic: .5, .65, .65
    add(store, "a", draws=draws, seed=1)
    assert derived(store, "labels_to_reach(accuracy=0.64)")["value"].item() == pytest.approx(200 * 5 ** (0.14 / 0.15))
    assert derived(store, "labels_to_reach(accuracy=0.66)")["censored"].item() == 1


def test_one_seed_has_a_value_and_no_interval_and_failed_seeds_are_counted(store):
    add(store, "a1", draws=accuracies(0.5, 0.1, noise=0.02), seed=1)
    add(store, "a2", seed=2)
    add(store, "b2", seed=2, family="laplace")  # all of these failed: there is no row of them
    (row,) = derived(store, "labels_to_reach(accuracy=0.6)").to_dict("records")
    assert (row["n"], row["failed"]) == (1, 1)
    assert (
        row["note"]
        == "labels_to_reach(accuracy=0.6) of family=poisson, estimator=mc, dataset=mnist, encoder=linear, latent_dim=4: without 1 failed run"
    )
    assert pd.isna([row["low"], row["high"], row["interval"]]).all()


def test_efficiency_is_the_reference_s_labels_over_the_model_s(store):
    for seed in (1, 2, 3):
        add(store, f"p{seed}", draws=accuracies(0.6, 0.1), seed=seed)
        add(store, f"g{seed}", draws=accuracies(0.5, 0.1), seed=seed, family="gaussian")
        add(store, f"l{seed}", draws=accuracies(0.2, 0.1), seed=seed, family="laplace")
    rows = derived(store, "label_efficiency(accuracy=0.62)").set_index("family")
    assert rows["value"].to_dict() == pytest.approx({"poisson": 5.0, "laplace": 0.2 * 5**0.2})
    assert rows["censored"].to_dict() == {"poisson": 0, "laplace": -1}
    assert rows.index.tolist() == derived(store, "label_efficiency(accuracy=0.62)", only={"family": ["poisson", "laplace"]})["family"].tolist()
    shown = derived(store, "label_efficiency(accuracy=0.62)", only={"family": ["poisson"]})
    assert shown["value"].tolist() == pytest.approx([5.0])


def test_models_with_the_same_accuracies_are_equally_efficient_whatever_is_drawn(store):
    """Seeds and draws are resampled together: what both models share cancels."""
    for seed in (1, 2, 3):
        for family in ("poisson", "gaussian"):
            add(store, f"{family}{seed}", draws=accuracies(0.6, 0.1, noise=0.01, seed=seed), seed=seed, family=family)
    (row,) = derived(store, "label_efficiency(accuracy=0.7)").to_dict("records")
    assert [row[name] for name in ("value", "low", "high")] == pytest.approx([1.0] * 3)
    alone = derived(store, "labels_to_reach(accuracy=0.7)")
    assert (alone["high"] / alone["low"] > 1.01).all()


def test_models_with_other_seeds_are_compared_unpaired(store):
    for seed in (1, 2, 3):
        add(store, f"p{seed}", draws=accuracies(0.6, 0.1, noise=0.01, seed=seed), seed=seed)
        if seed > 1:
            add(store, f"g{seed}", draws=accuracies(0.6, 0.1, noise=0.01, seed=seed), seed=seed, family="gaussian")
    (row,) = derived(store, "label_efficiency(accuracy=0.7)").to_dict("records")
    assert row["n"] == 2
    assert row["low"] < 1 < row["high"]


def test_without_the_accuracies_of_draws_nothing_is_made_up(store):
    add(store, "a1", draws=accuracies(0.5, 0.1), seed=1)
    (store.path / "arrays" / "a1" / "e-validation.safetensors").unlink()
    with pytest.raises(UserError, match="run a1 has only means of 'knn_accuracy'"):
        derived(store, "labels_to_reach")


def test_runs_with_other_draws_are_not_averaged(store):
    add(store, "a1", draws=accuracies(0.5, 0.1), seed=1)
    add(store, "a2", draws=accuracies(0.5, 0.1, draws=7), seed=2)
    with pytest.raises(UserError, match="run a2 has other numbers of labels or draws than a1"):
        derived(store, "labels_to_reach")


def test_runs_that_share_a_seed_are_not_averaged(store):
    for name in ("a", "b"):
        add(store, name, draws=accuracies(0.5, 0.1), seed=1)
    with pytest.raises(UserError, match=r"2 runs \(a, b\) share seeds and all their settings"):
        derived(store, "labels_to_reach")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("gaussian", "to='gaussian' must be settings of the reference"),
        ("family=gaussian", "no run has the settings of the reference, family=gaussian"),
        ("family=laplace", "runs with family=laplace have encoder=conv, and none has linear"),
        ("estimator=mc", "there is nothing to compare with the runs with estimator=mc"),
    ],
)
def test_a_reference_that_is_not_there_is_named(to, message, store):
    add(store, "a1", draws=accuracies(0.5, 0.1), seed=1)
    if "laplace" in to:
        add(store, "b1", draws=accuracies(0.5, 0.1), seed=1, family="laplace", encoder="conv")
    with pytest.raises(UserError, match=message):
        derived(store, f"label_efficiency(to={to})")


def test_a_reference_of_which_all_runs_failed_is_named(store):
    add(store, "a1", draws=accuracies(0.5, 0.1), seed=1)
    add(store, "b1", seed=1, family="gaussian")
    with pytest.raises(UserError, match=r"all runs of a reference failed: 1 runs \(b1\)"):
        derived(store, "label_efficiency")


def test_two_references_are_one_too_many(store):
    add(store, "a1", draws=accuracies(0.5, 0.1), seed=1)
    for seed, options in enumerate(('{"init_std": 0.1}', '{"init_std": 0.2}')):
        add(store, f"b{seed}", draws=accuracies(0.5, 0.1), seed=1, family="gaussian", encoder_options=options)
    with pytest.raises(UserError, match=r"runs with family=gaussian differ in encoder_options.init_std; say more in `to`"):
        derived(store, "label_efficiency")


def test_the_five_of_the_paper_is_read_off_table_6(root):
    """P-VAE reaches with 200 labels what G-VAE reaches with 1,000 (.815 and .813). Single draws are not published, so there is no interval."""
    published, only = root / "results" / "published", {"latent_dim": [10]}
    labels = derived(published, "labels_to_reach(accuracy=0.813)", only=only).set_index("family")
    assert labels.loc["gaussian", ["value", "censored"]].tolist() == [pytest.approx(1000), 0]
    assert labels.loc["poisson", ["value", "censored"]].tolist() == [200, -1]
    ratio = derived(published, "label_efficiency(accuracy=0.813)", only=only).set_index("family").loc["poisson"]
    assert (ratio["value"], ratio["censored"]) == (pytest.approx(5), 1)
    between = np.exp(np.interp(0.815, [0.673, 0.813, 0.891], np.log(SIZES)))
    ratio = derived(published, "label_efficiency(accuracy=0.815)", only=only).set_index("family").loc["poisson"]
    assert (ratio["value"], ratio["censored"]) == (pytest.approx(between / 200), 0)
    assert not np.isfinite(float(ratio["low"] or np.nan))


def simulated_labels(rng, at_200, seeds=5, draws=20):
    """Accuracies of models whose mean rises from `at_200` by .1 a factor of five; models, and draws that all share, vary by .01."""
    models, shared = rng.normal(0, 0.01, size=(seeds, 1, 1)), rng.normal(0, 0.01, size=(1, 3, draws))
    return Learning(SIZES.astype(float), at_200 + 0.1 * np.arange(3.0)[None, :, None] + models + shared, tuple(range(seeds)))


@pytest.mark.slow
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_intervals_of_labels_and_efficiency_cover_the_truth(confidence):
    """Five seeds, 1,000 times; four standard errors of the share are .028 (95 %) and .013 (99 %)."""
    rng, resampling, times = np.random.default_rng(3), Resampling(confidence), 1000
    error = 4 * (confidence * (1 - confidence) / times) ** 0.5

    def ratio():
        return simulated_labels(rng, 0.5).labels(0.65, resampling) / simulated_labels(rng, 0.55).labels(0.65, resampling)

    labels = coverage(1000 * 5**0.5, lambda: simulated_labels(rng, 0.5).labels(0.65, resampling), confidence, times)
    assert confidence - error <= labels
    assert confidence - error <= coverage(5**0.5, ratio, confidence, times)


def test_the_interval_of_labels_covers_the_truth():
    """Five seeds, 120 times at 95 %: four standard errors of the share are .08."""
    rng, resampling = np.random.default_rng(4), Resampling(0.95)
    assert coverage(1000 * 5**0.5, lambda: simulated_labels(rng, 0.5).labels(0.65, resampling), 0.95, 120) >= 0.95 - 0.08
