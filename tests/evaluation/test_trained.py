"""What an evaluation asks for beyond the trained model: the model at shares of its training, and other parts by name."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch

from latentbench.data.dataset import Splits
from latentbench.errors import UserError
from latentbench.evaluation.outcome import Metric, Outcome
from latentbench.evaluation.trained import Trained
from latentbench.execution.job import Job
from latentbench.execution.queue import enqueue, waiting
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.models.objective import Step
from latentbench.results.disk import disk
from latentbench.results.store import Store
from latentbench.streams import stream
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.plan import make_plan
from latentbench.suites.resolve import assemble
from latentbench.suites.suite import load_suite
from tests.kit import Plugin

SUITE = """\
name: gradients
seeds: [1]
evaluations: [elbo, EVALUATION]
defaults: {encoder: linear, decoder: linear, latent_dim: 3, dataset: digits, training: {steps: 10, batch_size: 50}}
sweeps:
  - {family: gaussian, estimator: mc}
"""
ESTIMATOR = """

from latentbench.api import Estimator, Loss


class Scaled(Estimator):
    name = "scaled"

    def loss(self, step):
        cost = SCALE * step.reconstruction(step.rsample())
        return Loss((cost + step.kl()).mean(), {"reconstruction": cost.detach(), "kl": step.kl().detach()})


@hookimpl
def register_estimators():
    return [Scaled]
"""


@pytest.fixture
def suite(suite_file):
    """Write a suite whose runs are measured by `test_gradients` with these options."""
    return lambda **options: suite_file(SUITE.replace("EVALUATION", json.dumps({"test_gradients": options})))


@pytest.fixture
def trained(make_run):
    """An untrained model in float64; it was kept with all values halved at .5, and as it is at 1."""
    resolved = make_run(family="gaussian")
    model = build_model(resolved.assembly, resolved.run.seed, "cpu", torch.float64)
    last = {name: value.clone() for name, value in model.state_dict().items()}
    kept = {0.5: {name: value / 2 for name, value in last.items()}, 1.0: last}
    return Trained(model, resolved.assembly.dataset.load(cache_folder()), resolved.run.seed, read=kept.__getitem__)


def allowing(trained, registry, *keys):
    """The same for an evaluation that declares these parts."""
    return trained.allowing(EvaluationPlan("test_gradients", {}, "1", builds=dict.fromkeys(keys, "1")).built(registry))


def gradient(assembly, tensors):
    """The encoder's gradient of a run's own loss on the first fifty images, with stored values of its parameters."""
    model = build_model(assembly, 1, "cpu", torch.float32)
    model.load_state_dict(tensors)
    noise, images = stream(1, "gradients"), assembly.dataset.load(cache_folder()).train.images[:50]
    code = model.encode(images, noise)
    model.loss(Step(images, code, model.family, model.decoder, model.likelihood, 1.0, 1.0, True, noise)).surrogate.backward()
    return torch.cat([p.grad.flatten() for p in model.encoder.parameters()]).double()


def test_gradients_of_two_estimators_at_one_model_are_those_of_two_runs_with_its_parameters(cli, suite, tmp_path, registry):
    """The shares are kept because the evaluation needs them: the suite has no `keep_checkpoints`."""
    path, store = suite(), Store(tmp_path / "r")
    answer = cli("run", path, "--results", store.path)
    assert answer.code == 0, answer.err
    (run,) = [item.run for item in make_plan(load_suite(path), registry, "cpu").runs]
    (other,) = [item.run for item in make_plan(load_suite(_with(path, "estimator: mc", "estimator: exact")), registry, "cpu").runs]
    assert store.checkpoints(run.id) == [0.0, 0.5, 1.0]
    expected = {}
    for share in (0.0, 0.5, 1.0):
        tensors = store.read_checkpoint(run.id, share)
        sampled, exact = (gradient(assemble(which, registry), tensors) for which in (run, other))
        expected[share] = float(sampled @ exact / (sampled.norm() * exact.norm()))
    metrics = store.read("metrics").set_index(["metric", "index"])["value"]
    assert metrics["gradient_cosine"].to_dict() == pytest.approx(expected, rel=1e-5)
    assert len({round(value, 3) for value in (*expected.values(), 1.0)}) == 4  # it matters which model, and which estimators


def test_the_shares_that_evaluations_need_are_kept_with_those_of_the_suite(suite, registry, tmp_path):
    path = _with(suite(shares=[0.25, 1]), "name:", "keep_checkpoints: [0.1]\nname:")
    _with(path, "gaussian", "[gaussian, poisson]")
    plan = make_plan(load_suite(path), registry, "cpu")
    assert [item.keep_checkpoints for item in plan.runs] == [(0.1, 0.25, 1.0)] * 2
    space = disk(plan, Store(tmp_path / "r"))
    assert space.kept == 2 * space.models > 0
    _with(path, '{"test_gradients": {"shares": [0.25, 1]}}', "sparsity")
    assert [item.keep_checkpoints for item in make_plan(load_suite(path), registry, "cpu").runs] == [(0.1,)] * 2


def test_a_model_that_was_not_kept_fails_its_evaluation_alone(cli, suite, tmp_path):
    """The run is trained before the evaluation is asked for."""
    words, path = ("--results", tmp_path / "r"), suite()
    whole = path.read_text()
    assert cli("run", _with(path, ', {"test_gradients": {}}', ""), *words).code == 0
    path.write_text(whole.replace("elbo,", "elbo, sparsity,"))
    answer = cli("run", path, *words)
    assert answer.code == 1
    assert "FAILED evaluation test_gradients: checkpoint " in answer.out
    assert "its model was kept at the shares 1 of the run; add 0 to the suite's keep_checkpoints" in answer.out
    assert set(pd.read_parquet(tmp_path / "r" / "evaluations")["evaluation"]) == {"elbo", "sparsity"}


def test_a_model_on_the_way_is_another_one_and_is_encoded_with_the_same_noise(trained):
    codes, before = trained.codes("validation"), trained.model.state_dict()
    earlier, last = trained.at(0.5), trained.at(0.5).at(1.0)
    assert all(torch.equal(2 * value, before[name]) for name, value in earlier.model.state_dict().items())
    assert torch.equal(last.codes("validation").sample, codes.sample)
    assert not torch.equal(earlier.codes("validation").sample, codes.sample)
    assert trained.codes("validation") is codes
    assert len({model.model.decoder.weight.data_ptr() for model in (trained, earlier, last)}) == 3
    alone = Trained(trained.model, Splits(trained.splits["train"], trained.splits["validation"]), trained.seed)
    with pytest.raises(UserError, match=r"the model at the share 0.5 of its training was not kept"):
        alone.at(0.5)


def plain(module):
    """The attributes of a module that are single numbers or texts; it is in eval mode if `training` is False."""
    return {name: value for name, value in vars(module).items() if isinstance(value, (bool, float, int, str))}


def test_models_and_parts_have_the_products_of_the_run(cli, suite, tmp_path, monkeypatch, registry):
    """With bfloat16 parameters are in float32, so that the model does not say it."""
    seen, evaluation = [], registry.evaluation("test_gradients")

    def evaluate(self, trained, generator):
        seen.extend([trained.at(0.5).model.family.product_dtype, trained.build("family", "poisson").product_dtype])
        return Outcome([Metric("gradient_cosine", 1.0).at("share", 1)])

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    monkeypatch.setattr(evaluation, "builds", classmethod(lambda cls, options: (("family", "poisson"),)))
    path = _with(suite(), "latent_dim: 3", "latent_dim: 3, dtype: bfloat16")
    answer = cli("run", path, "--results", tmp_path / "r", "--engine", "test_inline")
    assert answer.code == 0, answer.out
    assert seen == [torch.bfloat16] * 2


PARTS = {
    "an estimator": ("estimator", "exact", {}),
    "a likelihood with a parameter": ("likelihood", "gaussian", {"variance": "pixel"}),
    "an encoder": ("encoder", "mlp", {"expand": 5}),
    "a decoder with options": ("decoder", "linear", {"bias": True}),
    "a family with trained rates": ("family", "poisson", {"log_rate_limit": 4.0}),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_that_of_a_run_that_names_it(part, trained, registry, make_run):
    """With the run's seed, in the model's precision, and without a draw from torch's global state."""
    kind, name, options = PARTS[part]
    wanted = {"family": "gaussian", kind: name, **{f"{kind}_options.{key}": value for key, value in options.items()}}
    expected = getattr(build_model(make_run(**wanted).assembly, 1, "cpu", torch.float64), kind)
    torch.manual_seed(5)
    built = allowing(trained, registry, f"{kind}:{name}").build(kind, name, options)
    assert torch.rand(()) == torch.rand((), generator=torch.Generator().manual_seed(5))
    assert repr(built) == repr(expected)
    assert plain(built) == plain(expected.eval())
    torch.testing.assert_close(built.state_dict(), expected.state_dict(), rtol=0, atol=0)
    assert getattr(trained.model, kind) is not built


WRONG = {
    "undeclared": (
        ("estimator", "mc", {}),
        r"estimator 'mc' is built by an evaluation that does not declare it .*declared: estimator:exact, family:ista",
    ),
    "of another kind": (("likelihood", "exact", {}), r"likelihood 'exact' is built by an evaluation that does not declare it"),
    "unknown option": (("estimator", "exact", {"covarianc": "full"}), r"unknown key 'covarianc' \(did you mean.*\(option of estimator 'exact'\)"),
    "wrong value": (("estimator", "exact", {"covariance": "some"}), r"covariance: .*got 'some' \(option of estimator 'exact'\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_built_is_named(case, trained, registry):
    words, message = WRONG[case]
    with pytest.raises(UserError, match=message):
        allowing(trained, registry, "estimator:exact", "family:ista").build(*words)


def test_a_part_that_does_not_apply_says_why(trained, registry):
    bent = replace(trained.model.assembly, decoder=registry.network("mlp"))
    trained.model.assembly = bent
    with pytest.raises(UserError, match=r"estimator 'exact' does not apply: it needs a linear decoder, and 'mlp' is not"):
        allowing(trained, registry, "estimator:exact").build("estimator", "exact")


def test_an_undeclared_part_fails_its_evaluation(cli, suite, tmp_path, monkeypatch, registry):
    monkeypatch.setattr(registry.evaluation("test_gradients"), "builds", classmethod(lambda cls, options: (("estimator", "mc"),)))
    answer = cli("run", suite(), "--results", tmp_path / "r", "--engine", "test_inline")
    assert answer.code == 1
    assert "estimator 'exact' is built by an evaluation that does not declare it in `builds`; declared: estimator:mc" in answer.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimators": ["mc", "exat"]}, ":3: evaluation 'test_gradients': unknown estimator 'exat' (did you mean 'exact'?); known: "),
        ({"shares": [0, 1.5]}, ":3: evaluation 'test_gradients': it needs the model at the share 1.5 of its training, and shares are from 0 to 1"),
    ],
)
def test_what_cannot_be_had_is_refused_by_plan(options, message, cli, suite, tmp_path):
    answer = cli("plan", suite(**options), "--results", tmp_path / "r")
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_a_part_that_a_broken_plugin_may_provide_blocks_the_runs(suite, monkeypatch, registry):
    monkeypatch.setitem(registry.broken, "latentbench_rare", "no module named rare")
    plan = make_plan(load_suite(suite(estimators=["mc", "rare"])), registry, "cpu")
    assert plan.runs == ()
    (blocked,) = plan.blocked
    assert "evaluation 'test_gradients': unknown estimator 'rare'" in blocked.reason
    assert "latentbench_rare (no module named rare)" in blocked.reason


def test_what_it_builds_goes_through_the_queue(suite, registry, tmp_path):
    (item,) = make_plan(load_suite(suite()), registry, "cpu").runs
    job = Job(item.run, item.evaluations, keep_checkpoints=item.keep_checkpoints)
    enqueue(tmp_path, "s", [job], detached=True)
    (queue,) = waiting(tmp_path).values()
    assert queue.job(item.run.id) == job
    assert {evaluation.name: dict(evaluation.builds) for evaluation in job.evaluations} == {
        "elbo": {},
        "test_gradients": {"estimator:mc": "1", "estimator:exact": "1"},
    }


def test_a_kind_that_is_not_built_is_refused(cli, suite, tmp_path, monkeypatch, registry):
    monkeypatch.setattr(registry.evaluation("test_gradients"), "builds", classmethod(lambda cls, options: (("dataset", "digits"),)))
    answer = cli("plan", suite(), "--results", tmp_path / "r")
    assert answer.code == 2
    assert "unknown kind of part to build 'dataset'; known: decoder, encoder, estimator, family, likelihood" in answer.err


def test_versions_of_the_parts_that_it_builds_are_in_its_id_and_no_others(suite, monkeypatch, registry):
    def ids():
        (item,) = make_plan(load_suite(path), registry, "cpu").runs
        return {evaluation.name: evaluation.id for evaluation in item.evaluations}

    path = suite(estimators=["exact", "straight_through"])
    before = ids()
    monkeypatch.setattr(registry.estimator("hard_forward"), "version", "7")
    assert ids() == before
    monkeypatch.setattr(registry.estimator("exact"), "version", "7")
    after = ids()
    assert after["elbo"] == before["elbo"]
    assert after["test_gradients"] != before["test_gradients"]


def test_a_part_that_it_builds_makes_it_stale_when_its_source_changes(suite, tmp_path):
    plugin, words = Plugin(tmp_path / "plugin"), ("--results", tmp_path / "r")
    plugin.path.write_text(plugin.path.read_text() + ESTIMATOR)
    path = suite(estimators=["mc", "scaled"], shares=[1])
    ran = plugin.latentbench("run", path, *words, "--engine", "test_inline")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "stale" not in plugin.latentbench("plan", path, *words).stdout
    plugin.edit("SCALE = 1.0", "SCALE = 2.0")
    assert "stale (changed since: latentbench_edited.py)" in plugin.latentbench("plan", path, *words).stdout


def _with(path, old, new):
    """The suite file with one text replaced."""
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


def test_the_model_s_own_part_with_other_options_has_its_state(make_run):
    resolved = make_run(family="poisson")
    model = build_model(resolved.assembly, resolved.run.seed, "cpu", torch.float32)
    given = Trained(model, resolved.assembly.dataset.load(cache_folder()), resolved.run.seed)
    other = given.varied("family", {"log_rate_limit": 1.0})
    assert (other.log_rate_limit, model.family.log_rate_limit) == (1.0, 5.3)
    assert torch.equal(other.log_r, model.family.log_r)
    assert other.log_r is not model.family.log_r
    with pytest.raises(UserError, match=r"option of family 'poisson'"):
        given.varied("family", {"log_rate": 1.0})


def test_a_share_is_a_step_where_the_length_of_the_training_is_known(trained):
    assert trained.step_at(0.25) == 0.25
    trained.steps = 1001
    assert [trained.step_at(share) for share in (0, 0.25, 1)] == [0, 250, 1001]
