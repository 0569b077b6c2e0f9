"""What plugins return is checked in the first batch of training and of every evaluation, and the message says what came and what is allowed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import latentbench_broken
import pandas as pd
import pytest
import torch

from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.models.model import build_model
from latentbench.registry import build_registry
from latentbench.results.store import Store
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.resolve import assemble, resolve
from latentbench.training.state import new_state
from latentbench.training.train import train

SETTINGS = {
    **{"family": "sound", "estimator": "mc", "dataset": "digits", "encoder": "linear", "decoder": "linear", "likelihood": "gaussian"},
    **{"latent_dim": 6, "seed": 1, "training.steps": 3, "training.batch_size": 50},
}


@pytest.fixture(scope="module")
def broken(registry):
    """All plugins, and one in which every part breaks a promise."""
    found = build_registry([*registry.modules.items(), ("latentbench_broken", latentbench_broken)])
    assert found.broken == {}
    return found


@pytest.fixture
def outcome(broken, tmp_path):
    """The outcome of a run: the line that is printed, its row, and what was measured."""

    def run(evaluations=("elbo",), **settings):
        plans = tuple(EvaluationPlan(name, broken.evaluation(name).options_model().model_dump(mode="json"), "1") for name in evaluations)
        job = Job(resolve({**SETTINGS, **settings}, broken, "cpu").run, plans)
        store = Store(tmp_path / "results")
        failure = execute(job, broken, store, "cpu")
        return failure and str(failure), store.read("runs").iloc[0], store.read("metrics")

    return run


PLUGIN = "plugin 'latentbench_broken': "
IN_TRAINING = {
    "family": {
        "kl_summed": "KlSummedFamily.posterior(...).kl(...) returned float32 [50], expected floating-point [50, G] (nats per image and latent)",
        "kl_of_four": "KlOfFourFamily.posterior(...).kl(...) returned [50, 4], expected as many latents as there are dimensions, 6, or groups of",
        "kl_none": "KlNoneFamily.posterior(...).kl(...) returned None, expected floating-point [50, G]",
        "mean_of_one": "MeanOfOneFamily.posterior(...).mean returned float32 [1, 6], expected floating-point [50, 6]",
        "location_flat": "LocationFlatFamily.posterior(...).location returned float32 [50], expected floating-point [50, 6]",
        "representation_flat": "RepresentationFlatFamily.posterior(...).representation returned float32 [50], expected floating-point [50, F]",
        "variance_of_one": "VarianceOfOneFamily.posterior(...).variance returned float32 [50, 1], expected floating-point [50, 6]",
        "rsample_column": "RsampleColumnFamily.posterior(...).rsample(...) returned float32 [1, 6], expected floating-point [50, 6]",
        "posterior_tensor": "PosteriorTensorFamily.posterior(...) returned float32 [50, 6], expected Posterior",
        "posterior_point": "PosteriorPointFamily.posterior(...) returned an object of the class PointCode, expected Posterior",
        "point_flat": "FlatPoint.encode(...).mean returned float32 [50, 1], expected floating-point [50, 6]",
        "features_zero": "FeaturesZeroFamily sets features = 0 in __init__, expected how many numbers per image an encoder must give",
    },
    "encoder": {
        "encoder_of_double": "EncoderOfDouble.encoder(...) returned float32 [50, 12], expected floating-point [50, 6]",
        "encoder_averaged": "EncoderAveraged.encoder(...) returned float32 [1, 6], expected floating-point [50, 6]",
    },
    "decoder": {
        "decoder_row": "DecoderRow.decoder(...) returned float32 [50, 1, 1, 8], expected floating-point [50, 1, 8, 8] (decoded images)",
        "decoder_no_module": "DecoderNoModule.decoder(...) returned float32 [3], expected Module",
    },
    "likelihood": {
        "likelihood_averaged": "LikelihoodAveraged.reconstruction(...) returned float32 [], expected floating-point [50] (nats per image)",
        "likelihood_by_pixel": "LikelihoodByPixel.reconstruction(...) returned float32 [50, 64], expected floating-point [50]",
    },
    "estimator": {
        "surrogate_by_image": "SurrogateByImage.loss(...).surrogate returned float32 [50], expected floating-point [] (a scalar",
        "surrogate_detached": "SurrogateDetached.loss(...).surrogate does not depend on any parameter",
        "reported_mean": "ReportedMean.loss(...).reported['kl'] returned float32 [], expected floating-point [50] (nats per image)",
        "loss_tensor": "LossTensor.loss(...) returned float32 [], expected Loss",
    },
    "dataset": {
        "images_flat": "ImagesFlat.load(...).train.images returned float32 [100, 64], expected floating-point [N, 1, 1, 64]",
        "images_other_size": "ImagesOtherSize.load(...).train.images returned float32 [100, 1, 8, 9], expected floating-point [N, 1, 8, 8]",
        "images_double": "ImagesDouble.load(...).train.images returned float64 [100, 1, 8, 8], expected float32",
        "images_nan": "ImagesNan.load(...).train.images returned float32 [100, 1, 8, 8] in which 1 numbers are not finite",
        "images_above_one": "expected 0 to 1: the class says pixels = 'unit'",
        "images_not_binary": "expected 0 or 1: the class says pixels = 'binary'",
        "images_none": "ImagesNone.load(...).train.images returned float32 [0, 1, 8, 8], expected floating-point [N, 1, 8, 8]",
        "labels_missing": "LabelsMissing.load(...).train.labels returned None, expected int64 [100]: the class says labelled = True",
        "labels_unsaid": "LabelsUnsaid.load(...).train.labels returned int64 [100], expected None: the class says labelled = False",
        "labels_float": "LabelsFloat.load(...).train.labels returned float32 [100], expected int64 [100]",
        "test_unsaid": "TestUnsaid.load(...).test is an object of the class Split, and the class says has_test = False",
        "test_missing": "TestMissing.load(...).test is None, and the class says has_test = True",
        "truth_missing": "TruthMissing.load(...).dictionary is None, expected finite float32 [64, L]: the class says has_truth = True",
        "truth_unsaid": "TruthUnsaid.load(...).dictionary is float32 [64, 5], expected None: the class says has_truth = False",
        "truth_transposed": "TruthTransposed.load(...).dictionary is float32 [5, 5], expected finite float32 [64, 5]",
        "truth_of_others": "TruthOfOthers.load(...).train.causes is float32 [99, 5], expected finite float32 [100, 5]",
        "splits_tuple": "SplitsTuple.load(...) returned an object of the class tuple, expected Splits",
    },
}


@pytest.mark.parametrize(("setting", "name", "message"), [(s, n, m) for s, parts in IN_TRAINING.items() for n, m in parts.items()])
def test_a_wrong_shape_in_training_fails_the_run(setting, name, message, outcome):
    line, row, measured = outcome(**{setting: name})
    assert (row["status"], row["failure_kind"]) == ("failed", "error")
    assert line.startswith("error: " + PLUGIN)
    assert message in line
    assert measured.empty


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"family": "log_prob_summed", "estimator": "test_reinforce"},
            "posterior(...).log_prob(z) returned float32 [50], expected floating-point [50, 6]",
        ),
        ({"family": "decoded_variance_column", "estimator": "exact"}, "decoded_variance(...) returned float32 [50, 1], expected floating-point [50]"),
        (
            {"dataset": "colours", "decoder": "decoder_grey"},
            "DecoderGrey.decoder(...) returned float32 [50, 1, 8, 8], expected floating-point [50, 3, 8, 8]",
        ),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_what_some_combinations_use_is_checked_there(settings, message, outcome):
    line, row, _ = outcome(**settings)
    assert row["status"] == "failed"
    assert message in line


def test_what_a_combination_does_not_use_is_not(outcome):
    assert outcome(family="log_prob_summed", estimator="mc")[1]["status"] == "done"
    assert outcome(family="variance_nan", estimator="mc")[1]["status"] == "done"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "kl_nan"}, "KlNanFamily.posterior(...).kl(...) returned float32 [50, 6] in which 300 of 300 numbers are not finite"),
        ({"encoder": "encoder_inf"}, "EncoderInf.encoder(...) returned float32 [50, 6] in which 300 of 300 numbers are not finite"),
        ({"decoder": "decoder_nan"}, "DecoderNan.decoder(...) returned float32 [50, 1, 8, 8] in which 3200 of 3200 numbers are not finite"),
        ({"estimator": "surrogate_inf"}, "SurrogateInf.loss(...).surrogate returned float32 [] in which 1 of 1 numbers are not finite"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_numbers_that_are_not_finite_keep_their_kind_of_failure_and_name_their_origin(settings, message, outcome):
    line, row, _ = outcome(**settings)
    assert (row["status"], row["failure_kind"]) == ("failed", "non-finite")
    assert line.startswith(f"non-finite: {PLUGIN}{message}")


IN_EVALUATION = {
    ("elbo", "family"): {
        "sample_counts": "SampleCountsFamily.posterior(...).sample(...) returned int64 [360, 6], expected floating-point [360, 6] (true samples)",
        "costs_averaged": "CostsAveragedFamily.costs(...)['nelbo'] returned float32 [], expected floating-point [360] (nats per image)",
        "costs_other_first": "CostsOtherFirstFamily.costs(...) returned kl, reconstruction, nelbo, expected 'nelbo' first: the family's `cost`",
        "costs_inf": "CostsInfFamily.costs(...)['nelbo'] returned float32 [360] in which 360 of 360 numbers are not finite",
        "mean_nan_later": "MeanNanLaterFamily.posterior(...).mean returned float32 [360, 6] in which 2160 of 2160 numbers are not finite",
    },
    ("sparsity", "family"): {
        "sample_nan": "SampleNanFamily.posterior(...).sample(...) returned float32 [360, 6] in which 2160 of 2160 numbers are not finite",
        "prior_none": "PriorNoneFamily.prior(...) returned None, expected Posterior",
        "prior_of_one": "PriorOfOneFamily.prior(...).kl(...) returned float32 [1, 6], expected floating-point [360, G]",
    },
    ("elbo", "likelihood"): {
        "likelihood_mean_flat": "LikelihoodMeanFlat.mean(...) returned float32 [360, 64], expected floating-point [360, 1, 8, 8]"
    },
}


@pytest.mark.parametrize(
    ("evaluation", "setting", "name", "message"), [(e, s, n, m) for (e, s), parts in IN_EVALUATION.items() for n, m in parts.items()]
)
def test_what_an_evaluation_is_given_is_checked(evaluation, setting, name, message, outcome):
    line, row, measured = outcome((evaluation, "test_fragile"), **{setting: name})
    assert (row["status"], row["failure_kind"]) == ("done", "evaluation")
    assert line.startswith(f"evaluation {evaluation}: {PLUGIN}")
    assert message in line
    assert set(measured["evaluation"]) == {"test_fragile"}  # which needs no codes


def test_what_is_not_finite_fails_only_the_evaluations_that_use_it(outcome):
    """A mean that overflows does not take away what is measured on samples."""
    _, row, measured = outcome(("elbo", "sparsity"), family="mean_nan_later")
    assert row["failure_kind"] == "evaluation"
    assert set(measured["evaluation"]) == {"sparsity"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("outcome_none", f"{PLUGIN}OutcomeNone.evaluate(...) returned None, expected Outcome"),
        ("outcome_empty", f"{PLUGIN}OutcomeEmpty.evaluate(...) returned no metric, expected at least one"),
        ("metric_number", f"{PLUGIN}MetricNumber.evaluate(...).metrics returned an object of the class float, expected Metric"),
        ("metric_text", f"{PLUGIN}MetricText.evaluate(...) returned the metric 'one' with value = '1.0', expected a number"),
        ("metric_tensor", f"{PLUGIN}MetricTensor.evaluate(...) returned the metric 'one' with value = tensor([1., 1.]), expected a number"),
        ("metric_nan", "two on validation is nan"),
        ("metric_inf_at", "two on test at size 3 is inf"),
        ("metric_error_nan", "the standard error of one on validation is nan"),
        ("metrics_all_nan", "m0 on validation is nan, m1 on validation is nan, m2 on validation is nan and 2 more"),
        ("units_table", f"{PLUGIN}UnitsTable.evaluate(...) returned the units of 'one' as float32 [2, 2], expected a number for each, [K]"),
        (
            "picture_float",
            f"{PLUGIN}PictureFloat.evaluate(...) returned the picture 'p' as float32 [2, 2], expected bytes, uint8 [H, W] or [H, W, 3]",
        ),
    ],
)
def test_what_an_evaluation_returns_is_checked_and_nothing_of_it_is_stored(name, message, outcome):
    line, row, measured = outcome((name, "test_fragile"))
    assert (row["status"], row["failure_kind"]) == ("done", "evaluation")
    assert line == f"evaluation {name}: {message}"
    assert set(measured["evaluation"]) == {"test_fragile"}


def test_a_sound_family_passes(outcome):
    line, row, measured = outcome(("elbo", "sparsity", "active_units", "samples", "reconstructions"))
    assert line is None
    assert row["status"] == "done"
    assert {"nelbo", "prior_energy", "active_fraction"} <= set(measured["metric"])


FAMILIES = [{"family": name} for name in ("sound", "test_lca", "poisson", "test_student", "test_iterative")]


@pytest.mark.parametrize("changes", [*FAMILIES, {"estimator": "exact"}, {"estimator": "test_reinforce"}])
def test_the_guards_change_no_number(changes, broken, registry):
    """Training whose first batch is guarded, and training whose every step is the first of its process, end alike."""

    def end(restarts):
        run = resolve({**SETTINGS, "training.steps": 6, **changes}, broken, "cpu").run
        assembly = assemble(run, broken)
        state = new_state(build_model(assembly, 1, "cpu", torch.float32), run.train_settings, 1)
        data = assembly.dataset.load(Path("unused")).train
        while state.step < 6:
            for _ in train(state, data, run):
                if restarts:
                    break
        return state.tensors()

    once, every = end(False), end(True)
    assert all(torch.equal(once[name], every[name]) for name in once if name not in ("seconds", "history"))


def test_later_batches_are_not_checked(broken, monkeypatch):
    """Guards cost nothing after the first batch: the parts' own methods are called."""
    seen = []
    monkeypatch.setattr(
        latentbench_broken.Sound, "encode", lambda self, *given: seen.append(type(self)) or super(latentbench_broken.Sound, self).encode(*given)
    )
    run = resolve(SETTINGS, broken, "cpu").run
    assembly = assemble(run, broken)
    state = new_state(build_model(assembly, 1, "cpu", torch.float32), run.train_settings, 1)
    kinds = [type(state.model.family) for _ in train(state, assembly.dataset.load(Path("unused")).train, run)]
    assert kinds == seen == [latentbench_broken.Sound] * 3


@pytest.fixture
def installed(tmp_path):
    """Call the command line where the broken plugin is installed."""
    folder = tmp_path / "site" / "latentbench_broken-0.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: latentbench-broken\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text("[latentbench]\nlatentbench_broken = latentbench_broken\n")

    def call(*words, **environment):
        path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[1] / "third_party")])
        environment = {**os.environ, "PYTHONPATH": path, **environment}
        command = [sys.executable, "-m", "latentbench", *map(str, words)]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    return call


SUITE = """
name: broken
seeds: [1]
evaluations: {evaluations}
defaults: {{encoder: linear, decoder: linear, latent_dim: 4, training: {{steps: 5, batch_size: 20}}}}
sweeps:
  - {{family: {family}, estimator: mc, dataset: {dataset}}}
"""


def test_flat_images_fail_the_run_with_the_shape_that_came(installed, suite_file, tmp_path):
    """torch broadcasts them: such a run scored 414,818 and was done."""
    suite = suite_file(SUITE.format(evaluations="[elbo]", family="gaussian", dataset="[images_flat, digits]"))
    answer = installed("run", suite, "--results", tmp_path / "r")
    assert answer.returncode == 1
    message = "plugin 'latentbench_broken': ImagesFlat.load(...).train.images returned float32 [100, 64], expected floating-point [N, 1, 1, 64]"
    assert f"FAILED error: {message}" in answer.stdout
    assert pd.read_parquet(tmp_path / "r" / "runs").set_index("dataset")["status"].to_dict() == {"images_flat": "failed", "digits": "done"}
    assert "Traceback" not in answer.stdout + answer.stderr


@pytest.mark.slow
def test_shared_images_are_counted_once_and_the_count_is_kept(installed, suite_file, tmp_path):
    suite = suite_file(SUITE.format(evaluations="[elbo]", family="[gaussian, laplace]", dataset="shared_images"))
    warning = "warning: data set shared_images: 7 of 50 validation images are among the training images too"
    cache = {"LATENTBENCH_CACHE": str(tmp_path / "cache")}
    answer = installed("run", suite, "--results", tmp_path / "r", **cache)
    assert answer.returncode == 0
    assert answer.stdout.count(warning) == 1
    (kept,) = (tmp_path / "cache" / "overlap").iterdir()
    before = kept.stat().st_mtime_ns
    assert installed("run", suite, "--results", tmp_path / "r", "--force", **cache).stdout.count(warning) == 1
    assert kept.stat().st_mtime_ns == before
    kept.write_text("[]")  # damaged: counted again
    assert installed("run", suite, "--results", tmp_path / "r", "--force", **cache).stdout.count(warning) == 1


def test_a_data_set_without_shared_images_says_nothing(cli, suite_file, tmp_path):
    suite = suite_file(SUITE.format(evaluations="[elbo]", family="gaussian", dataset="digits"))
    assert "warning" not in cli("run", suite, "--results", tmp_path / "r").out


def test_a_metric_that_is_nan_is_a_failure_in_the_same_words_everywhere(installed, suite_file, tmp_path):
    suite = suite_file(SUITE.format(evaluations="[elbo, metric_nan]", family="gaussian", dataset="digits"))
    results = ("--results", tmp_path / "r")
    words = "evaluation metric_nan: two on validation is nan"
    answer = installed("run", suite, *results)
    assert answer.returncode == 1
    assert f"FAILED {words}" in answer.stdout
    assert f"failed ({words})" in installed("plan", suite, *results).stdout
    (run,) = pd.read_parquet(tmp_path / "r" / "runs")["run_id"]
    shown = installed("show", run, *results).stdout
    assert words in shown
    assert re.search(r"^trained; failed: evaluation metric_nan", shown, re.MULTILINE)
    measured = pd.read_parquet(tmp_path / "r" / "metrics")
    assert "one" not in set(measured["metric"])
    assert "nelbo" in set(measured["metric"])


def test_evaluations_that_do_not_apply_are_listed_with_count_and_reason(cli, suite_file, tmp_path):
    suite = suite_file(SUITE.format(evaluations="[elbo, active_units, samples]", family="[gaussian, lca]", dataset="digits"))
    lines = [
        "left out: evaluation active_units of 2 runs: it needs a posterior, and 'lca' infers points",
        "left out: evaluation samples of 2 runs: it needs a prior, and 'lca' has none",
    ]
    for command in ("plan", "run"):
        out = cli(command, suite, "--seeds", "1,2", "--results", tmp_path / "r").out
        assert all(out.count(line) == 1 for line in lines), command
