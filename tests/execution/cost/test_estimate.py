"""What a plan's runs cost: what is measured, what is taken from the cache, and what is left unmeasured for which reason."""

import json
from dataclasses import replace

import pytest

from latentbench.errors import UserError
from latentbench.execution.cost import estimate as estimates
from latentbench.execution.cost.estimate import estimate
from latentbench.files import cache_folder
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite
from tests.execution.cost.test_measured import measured

SUITE = """\
name: costed
seeds: [1, 2]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 100, batch_size: 50}}
sweeps:
  - {family: [gaussian, poisson], estimator: mc, dataset: digits, beta: [1, 2]}
"""


@pytest.fixture
def plan(suite_file, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path / "cache"))
    return make_plan(load_suite(suite_file(SUITE)), registry, "cpu")


@pytest.fixture
def asked(monkeypatch):
    """The runs that were measured, in their order; each answer is made."""
    runs = []

    def answer(function, run, *rest):
        runs.append(run.family)
        return measured(setup=float(len(runs)))

    monkeypatch.setattr(estimates, "apart", answer)
    return runs


def silent(done, total, kind):
    pass


def test_each_kind_is_measured_once(plan, asked):
    told = []
    found = estimate(plan, "cpu", lambda *progress: told.append(progress))
    assert asked == ["gaussian", "poisson"]
    assert told == [(0, 2, "gaussian mc digits linear|linear"), (1, 2, "poisson mc digits linear|linear")]
    assert found.made == 2
    assert [found.of_run[item.run.id].setup for item in plan.runs] == [1.0 if item.run.family == "gaussian" else 2.0 for item in plan.runs]


def test_what_is_in_the_cache_is_not_measured_again(plan, asked):
    first, second = estimate(plan, "cpu", silent), estimate(plan, "cpu", silent)
    assert (first.made, second.made, len(asked)) == (2, 0, 2)
    assert first.of_run == second.of_run
    assert (estimate(plan, "cpu", silent, fresh=True).made, len(asked)) == (2, 4)


def test_other_code_is_measured_again(plan, asked):
    estimate(plan, "cpu", silent)
    edited = replace(plan, runs=tuple(replace(item, sources={"latentbench/models/model.py": "other"}) for item in plan.runs))
    assert estimate(edited, "cpu", silent).made == 2


@pytest.mark.parametrize("content", ["", "{}", "[1]", json.dumps({"measured": {"steps": 1}})])
def test_a_damaged_measurement_is_made_again(plan, asked, content):
    estimate(plan, "cpu", silent)
    (cache_folder() / "costs").iterdir().__next__().write_text(content)
    assert estimate(plan, "cpu", silent).made == 1


def test_an_interrupted_estimate_continues(plan, asked, monkeypatch):
    whole = estimates.apart

    def interrupted(function, run, *rest):
        if run.family == "poisson":
            raise KeyboardInterrupt
        return whole(function, run, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(estimates, "apart", interrupted)
        with pytest.raises(KeyboardInterrupt):
            estimate(plan, "cpu", silent)
    assert estimate(plan, "cpu", silent).made == 1


def test_what_fails_is_unmeasured_for_its_reason_and_tried_again(plan, monkeypatch):
    def failing(function, run, *rest):
        raise UserError("out of luck")

    monkeypatch.setattr(estimates, "apart", failing)
    found = estimate(plan, "cpu", silent)
    assert [(cost.measured, cost.problem) for cost in found.kinds] == [(None, "out of luck")] * 2
    assert found.of_run == {}
    assert estimate(plan, "cpu", silent).made == 2


def test_nothing_is_downloaded(suite_file, registry, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATENTBENCH_DATA", raising=False)
    plan = make_plan(load_suite(suite_file(SUITE.replace("dataset: digits", "dataset: [digits, mnist]"))), registry, "cpu")
    found = estimate(plan, "cpu", silent)
    problems = {cost.kind.first.run.dataset: cost.problem for cost in found.kinds}
    assert problems == {"digits": "", "mnist": "its data are not on this machine: `latentbench data fetch mnist`"}
    assert len(asked) == 2


def test_without_a_gpu_nothing_is_known_of_one(plan, asked, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    found = estimate(plan, "cuda:0", silent)
    assert [cost.problem for cost in found.kinds] == ["this machine has no CUDA GPU"] * 2
    assert not asked
