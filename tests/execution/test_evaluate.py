"""What evaluations store: declarations, numbers of every image, and each number with its split."""

import json

import pytest
import torch

from latentbench.data.dataset import Splits
from latentbench.evaluation.trained import Trained
from latentbench.execution.evaluate import evaluate
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.results.store import Store
from latentbench.results.tensors import read_tensors
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.resolve import assemble


@pytest.fixture
def measured(make_run, registry, tmp_path):
    """Evaluate an untrained model of a family on digits that have a test split too; its id, and the store."""

    def measure(family, *asked):
        run = make_run(family=family).run
        model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
        splits = model.assembly.dataset.load(cache_folder())
        splits = Splits(splits.train, splits.validation, splits.train.limited(0.1))
        failures = evaluate(Trained(model, splits, run.seed), run.id, asked, registry, store)
        assert failures == {}
        return run.id

    store = Store(tmp_path / "r")
    measure.store = store
    return measure


ELBO = EvaluationPlan("elbo", {}, "1")


def per_image(store, run_id, plan=ELBO):
    (path,) = (path for path in (store.path / "arrays").rglob("*.safetensors") if run_id in str(path) and plan.id in str(path))
    return read_tensors(path)


def test_two_models_are_compared_image_by_image_and_the_means_are_the_metrics(measured):
    runs = [measured(family, ELBO) for family in ("gaussian", "laplace")]
    arrays = [per_image(measured.store, run) for run in runs]
    metrics = measured.store.read("metrics").set_index(["run_id", "split", "metric"])["value"]
    for run, found in zip(runs, arrays, strict=True):
        names = {
            f"per_image/{split}/{name}"
            for split in ("validation", "test")
            for name in ("nelbo", "reconstruction", "kl", "sse_at_mean", "sse_at_location")
        }
        assert found.keys() == names
        for name, values in found.items():
            _, split, metric = name.split("/")
            assert values.shape == ({"validation": 360, "test": 144}[split],)
            assert values.dtype == torch.float32
            assert float(values.double().mean()) == pytest.approx(metrics[run, split, metric], rel=1e-6)
    difference = (arrays[0]["per_image/validation/nelbo"] - arrays[1]["per_image/validation/nelbo"]).double()
    expected = metrics[runs[0], "validation", "nelbo"] - metrics[runs[1], "validation", "nelbo"]
    assert float(difference.mean()) == pytest.approx(expected, rel=1e-4)
    assert difference.std() > 0


def test_declarations_are_stored_with_the_numbers(measured):
    run = measured("gaussian", ELBO, EvaluationPlan("knn", {"sizes": [20], "neighbours": 5, "draws": 2, "readout": "native"}, "1"))
    rows = measured.store.read("evaluations").set_index("evaluation")["metrics"].map(json.loads)
    metrics = measured.store.read("metrics")
    for evaluation in ("elbo", "knn"):
        assert rows[evaluation].keys() == set(metrics.loc[(metrics["run_id"] == run) & (metrics["evaluation"] == evaluation), "metric"])
    declared = {"better": "lower", "unit": "nats", "meaning": "", "index": None, "less_constant": True, "of_kl": True, "estimate": False}
    assert rows["elbo"]["nelbo"] | {"meaning": ""} == declared
    assert (rows["knn"]["knn_accuracy"]["better"], rows["knn"]["knn_accuracy"]["index"]) == ("higher", "sample_size")


TAKE_SPLIT = ["sparsity", "spike_counts", "active_units", "knn", "shattering", "linear_probe", "reconstructions", "dictionary", "inference_swap"]


@pytest.mark.parametrize("name", [*TAKE_SPLIT, "elbo"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_number_is_of_the_split_that_was_asked_for(name, split, make_run, registry):
    """With one split's images under the name of another the numbers are those of that split, but for the noise of its own stream."""
    run = make_run().run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32).eval()
    splits = model.assembly.dataset.load(cache_folder())
    few = {"train": splits.train.limited(0.1), "validation": splits.validation.limited(0.2), "test": splits.validation.limited(0.15)}
    trained = Trained(model, Splits(**few), run.seed)
    part = registry.evaluation(name)
    options = {"lca_iterations": 2, "l1_weights": [0.1]} if name == "inference_swap" else {}
    outcome = part(part.options_model(split=split, **options)).evaluate(trained, torch.Generator().manual_seed(1))
    fitted = {"shattering_gradient", "linear_probe_iterations"}
    assert {metric.split for metric in outcome.metrics if metric.name not in fitted} == {split}
    assert {unit.split for unit in outcome.units} <= {split}
    assert trained._codes.keys() <= {split, "train"}
    if split != "validation":
        assert all(key.endswith(f"_{split}") for key in (*outcome.arrays, *outcome.pictures))


def test_elbo_reports_the_splits_of_a_list(measured):
    plan = EvaluationPlan("elbo", {"split": ["train", "test"]}, "1")
    run = measured("gaussian", plan)
    assert set(measured.store.read("metrics")["split"]) == {"train", "test"}
    assert {name.split("/")[1] for name in per_image(measured.store, run, plan)} == {"train", "test"}


@pytest.mark.parametrize("name", [*TAKE_SPLIT, "elbo"])
def test_an_evaluation_of_a_split_that_the_data_set_lacks_is_left_out_with_the_reason(name, make_run, registry):
    part, assembly = registry.evaluation(name), make_run().assembly
    assert part.left_out(assembly, part.options_model(split="test")) == "it measures the test split, and 'digits' has none"
    assert part.left_out(assembly, part.options_model(split="train")) is None
    with_test = make_run(dataset_options__with_test=True).assembly
    assert part.left_out(with_test, part.options_model(split="test")) is None


@pytest.mark.parametrize("name", ["samples", "gabor_fit", "relaxed_poisson"])
def test_evaluations_that_need_no_data_take_no_split(name, registry):
    assert "split" not in registry.evaluation(name).options_model.model_fields


def test_a_plan_names_what_is_left_out_for_lack_of_a_split(cli, suite_file, tmp_path):
    text = "name: s\nseeds: [1]\nevaluations: [elbo, {elbo: {split: [train, test]}}, {sparsity: {split: test}}]\nsweeps:\n"
    text += "  - {family: gaussian, estimator: mc, dataset: digits, encoder: linear, decoder: linear, latent_dim: 3, training: {steps: 1}}\n"
    answer = cli("plan", suite_file(text), "--results", tmp_path / "r")
    assert answer.code == 0
    assert "evaluation sparsity(split=test) of 1 runs: it measures the test split, and 'digits' has none" in answer.out
    assert "of 1 runs: it measures the test split, and 'digits' has none" in answer.out.partition("elbo(split=")[2]
    wrong = cli("plan", suite_file(text.replace("split: test", "split: tset")), "--results", tmp_path / "r")
    assert wrong.code == 2
    assert "split" in wrong.err
    assert "Traceback" not in wrong.err
