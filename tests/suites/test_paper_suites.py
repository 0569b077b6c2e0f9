"""The suites of the paper: which runs they hold, and that every published value has its runs."""

from collections import Counter

import pandas as pd
import pytest

from latentbench.suites.plan import Changes, make_plan
from latentbench.suites.suite import load_suite

KEYS = ["family", "estimator", "dataset", "encoder", "decoder", "latent_dim", "beta"]
FIGURES = {
    "fig5": {"estimator": ["mc"], "dataset": ["van_hateren"], "latent_dim": [512]},
    "fig8": {"estimator": ["mc"], "dataset": ["van_hateren", "cifar16"], "family": ["poisson"]},
}
"""What the authors' fits of a figure have in common, which are in one table with those of others."""
EXPECTING = ["table2_5", "table3", "table4_6", "fig4", "fig5", "fig8"]


@pytest.fixture(scope="module")
def plan_of(root, registry):
    def plan(name, **changes):
        return make_plan(load_suite(root / "suites" / f"{name}.yaml"), registry, "cpu", Changes(**changes))

    return plan


def settings(run):
    options = run.estimator_options.get("covariance") if run.family == "categorical" else None
    return (*(str(getattr(run, key)) for key in KEYS), options or "")


@pytest.mark.parametrize("name", EXPECTING)
def test_every_published_value_has_runs_of_its_settings(name, plan_of, root):
    """Values that `expect` names, of amortised models with a linear decoder or of MNIST's convolutional ones."""
    planned = plan_of(name, seeds=[1])
    runs = {settings(item.run) for item in planned.runs}
    checked = 0
    for expected in planned.expect:
        store, _, table = expected.partition("/")
        (path,) = [path for kind in ("summaries", "runs") if (path := root / "results" / store / kind / f"{table}.parquet").exists()]
        frame = pd.read_parquet(path)
        for key, values in FIGURES.get(name, {}).items():
            frame = frame[frame[key].isin(values)]
        for row in frame.drop_duplicates([*KEYS, "estimator_options"]).to_dict("records"):
            covariance = "diagonal" if "diagonal" in str(row["estimator_options"]) else ""
            wanted = (*(str(row[key] if key != "latent_dim" else int(row[key])) for key in KEYS), covariance)
            assert wanted in runs, (expected, wanted)
            checked += 1
    assert checked


def test_the_paper_suite_shares_runs_and_holds_all_others(plan_of):
    whole = {item.run.id: item for item in plan_of("paper", seeds=[1]).runs}
    parts = Counter()
    for name in (*EXPECTING, "fig5b", "fig9", "fig11", "fig12", "activations", "sparse_coding"):
        for item in plan_of(name, seeds=[1]).runs:
            parts[item.run.id] += 1
            assert {e.id for e in item.evaluations} <= {e.id for e in whole[item.run.id].evaluations}
    assert parts.keys() == whole.keys()
    assert sum(parts.values()) > len(whole) > 195  # runs that several need stand once


def test_all_runs_follow_the_paper_s_protocol(plan_of):
    for item in plan_of("paper", seeds=[1]).runs:
        training = item.run.train_settings
        if item.run.estimator is None:
            assert (training.epochs, training.batch_size, training.optimizer, training.grad_clip) == (100, 1000, "sgd", None)
            continue
        mnist = item.run.dataset == "mnist"
        assert item.run.protocol == "paper"
        assert training.epochs == {"mnist": 1200, "cifar16": 1500, "van_hateren": 3000}[item.run.dataset]
        assert (training.batch_size, training.learning_rate) == ((200, 0.002) if mnist else (1000, 0.005))
        assert training.beta_hold.written == (0.0 if item.run.decoder == "linear" else 0.01)
        assert training.warmup.written == "5 epochs"
        assert (training.grad_clip, training.restarts, training.weight_decay) == ((1000, 2, 3e-4) if mnist else (500, 0, 0))
        stop = training.temperature_stop
        assert stop is None or stop == {"categorical": 0.1, "poisson": 0.05}[item.run.family] or item.run.dataset == "van_hateren"


def test_models_are_as_many_as_the_guide_says(plan_of, root):
    plan = plan_of("paper")
    coders = sum(item.run.estimator is None for item in plan.runs) // 5
    assert f"{plan.models - coders}\nmodels with five seeds each" in (root / "docs" / "guide" / "paper.md").read_text()
    assert coders == 2 * 54


def test_the_categorical_s_full_covariance_is_beside_the_paper_s(plan_of):
    exact = [item.run for item in plan_of("table2_5", seeds=[1]).runs if (item.run.family, item.run.estimator) == ("categorical", "exact")]
    assert Counter(run.estimator_options.get("covariance", "full") for run in exact) == {"full": 6, "diagonal": 6}


def test_training_images_are_measured_apart_from_the_others(plan_of):
    """Two evaluations of one metric on one split could not be told apart."""
    for item in plan_of("fig8", seeds=[1]).runs:
        splits = [e.options.get("split", "validation") for e in item.evaluations if e.name == "elbo"]
        assert splits == ["validation", "train"]


def test_small_initial_weights_are_where_the_exponential_overflows(plan_of):
    runs = [item.run for item in plan_of("paper", seeds=[1]).runs if item.run.encoder is not None]
    assert all((run.encoder_options.get("init_std") == 0.01) == (run.family == "gaussian+exp") for run in runs)


def test_every_table_that_a_suite_expects_is_published(plan_of, root):
    expected = plan_of("paper", seeds=[1]).expect
    assert len(expected) == 7
    for name in expected:
        store, _, table = name.partition("/")
        assert any((root / "results" / store / kind / f"{table}.parquet").exists() for kind in ("summaries", "runs")), name


DERIVED = {"published/table2", "published/figure5b"}
"""Tables that hold a drop of the NELBO, and names that `inference_swap` gives."""


@pytest.mark.parametrize("name", [*EXPECTING, "fig5b", "sparse_coding"])
def test_every_expected_value_is_of_a_metric_that_the_suite_measures(name, root, registry):
    suite = load_suite(root / "suites" / f"{name}.yaml")
    asked = {evaluation.name for sweep in suite.sweeps for evaluation in sweep.evaluations}
    measured = {metric for evaluation in asked for metric in registry.evaluation(evaluation).metrics}
    measured |= {metric for family in registry.parts["families"].values() for metric in family.measures if "elbo" in asked}
    for table in set(suite.expect) - DERIVED:
        path = root / "results" / "published" / "summaries" / f"{table.partition('/')[2]}.parquet"
        if path.exists():
            assert set(pd.read_parquet(path)["metric"]) <= measured


PROTOCOLS = {
    ("mnist", "paper"): (1200, 200, 0.002, "5 epochs", 2, 1000, 3e-4),
    ("mnist", "paper-2026"): (400, 100, 0.002, 0.01, 0, 1000, 0),
    ("van_hateren", "paper"): (3000, 1000, 0.005, "5 epochs", 0, 500, 0),
    ("van_hateren", "paper-2026"): (3000, 1000, 0.005, 0.01, 0, None, 0),
    ("cifar16", "paper"): (1500, 1000, 0.005, "5 epochs", 0, 500, 0),
    ("cifar16", "paper-2026"): (1500, 1000, 0.005, 0.01, 0, None, 0),
}
"""Epochs, batch, learning rate, warm-up, restarts, largest gradient norm, weight decay."""


def training_of(run):
    t = run.train_settings
    return t.epochs, t.batch_size, t.learning_rate, t.warmup.written, t.restarts, t.grad_clip, t.weight_decay


@pytest.mark.parametrize(("dataset", "protocol"), PROTOCOLS)
@pytest.mark.parametrize("family", ["poisson", "gaussian"])
def test_protocols(dataset, protocol, family, make_run):
    run = make_run(family=family, dataset=dataset, protocol=protocol, training__steps=None, training__batch_size=None).run
    assert training_of(run) == PROTOCOLS[dataset, protocol]
    assert run.family_options.get("log_rate_limit") == ({"paper": 5.3, "paper-2026": 5.0}[protocol] if family == "poisson" else None)


def test_a_protocol_can_be_overridden_field_by_field(make_run):
    run = make_run(dataset="mnist", protocol="paper", training__steps=None, training__batch_size=50, training__grad_clip=7.0).run
    assert training_of(run) == (1200, 50, 0.002, "5 epochs", 2, 7, 3e-4)


@pytest.mark.parametrize(("dataset", "protocol"), PROTOCOLS)
def test_sparse_coders_have_one_protocol_for_all_data(dataset, protocol, make_run):
    changes = {"encoder": None, "estimator": None, "training__steps": None, "training__batch_size": None}
    assert training_of(make_run(family="lca", dataset=dataset, protocol=protocol, **changes).run) == (100, 1000, 0.1, 0.0, 0, None, 0)


def test_sparse_coders_have_the_paper_s_270_combinations(plan_of):
    runs = plan_of("sparse_coding").runs
    assert len(runs) == 2 * 270
    assert {item.run.family for item in runs} == {"lca", "ista"}


def test_a_scaled_run_keeps_its_warm_up_s_share(plan_of):
    (item, *_) = plan_of("fig12", seeds=[1], scale=0.01).runs
    assert (item.run.train_settings.epochs, item.run.train_settings.warmup.written) == (12, "0.05 epochs")
