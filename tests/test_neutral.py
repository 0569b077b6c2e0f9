"""A setting or option that is added later re-keys no run that was stored before."""

from dataclasses import replace

import pytest
from latentbench_poisson import Poisson, PoissonOptions
from pydantic import Field

from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.neutral import added
from latentbench.results.store import Store
from latentbench.suites.plan import make_plan
from latentbench.suites.resolve import assemble
from latentbench.suites.settings import Run
from latentbench.suites.suite import load_suite
from tests.suites.test_golden_ids import golden


class LaterOptions(PoissonOptions):
    """An option of a later version, whose default has become another than what runs had before."""

    sharpness: float = added(2.0, neutral=1.0, description="Of something.")


class LaterPoisson(Poisson):
    """Poisson of a later version."""

    name = "poisson"
    options_model = LaterOptions


@pytest.fixture
def later(registry):
    """The registry with it."""
    families = {**registry.parts["families"], "poisson": LaterPoisson}
    return replace(registry, parts={**registry.parts, "families": families}, providers={**registry.providers, LaterPoisson: "later"})


def test_a_new_option_at_its_neutral_value_leaves_all_ids_as_they_are(root, later, suite_file):
    suite = load_suite(root / "suites" / "quick.yaml")
    sweeps = tuple(
        replace(sweep, axes={**sweep.axes, "family_options.sharpness": 1.0}) if "latent_dim" in sweep.axes else sweep for sweep in suite.sweeps
    )
    plan = make_plan(replace(suite, sweeps=sweeps), later, "cpu")
    assert [f"{item.run.id} {item.run.about}" for item in plan.runs] == golden(root, "quick")


def test_at_another_value_it_is_another_run(make_run, later, registry):
    from latentbench.suites.resolve import resolve
    from tests.conftest import SETTINGS

    before = make_run().run
    assert resolve({**SETTINGS, "family_options.sharpness": 1.0}, later, "cpu").run.id == before.id
    default, other = (resolve({**SETTINGS, **more}, later, "cpu").run for more in ({}, {"family_options.sharpness": 3.0}))
    assert len({before.id, default.id, other.id}) == 3
    assert default.family_options["sharpness"] == 2.0


def test_a_stored_run_means_the_neutral_value_whatever_the_default_is(make_run, later):
    options = assemble(make_run().run, later).options
    assert options["family"].sharpness == 1.0


def test_a_new_setting_of_runs(make_run):
    class LaterRun(Run):
        extra_options: dict = added({}, neutral={})
        mode: str = added("fast", neutral="slow")
        note: str = Field("always part of it")

    values = make_run().run.model_dump()
    assert LaterRun(**values, mode="slow", note="x").id != make_run().run.id  # a field without a neutral value counts

    class Later(Run):
        extra_options: dict = added({}, neutral={})
        mode: str = added("fast", neutral="slow")

    assert Later(**values, mode="slow").id == make_run().run.id
    assert len({Later(**values).id, Later(**values, mode="slow", extra_options={"a": 1}).id, make_run().run.id}) == 3


def test_options_of_evaluations(make_run, registry, tmp_path, suite_file):
    """The id of an evaluation leaves them out too, and it is given the neutral value when it runs."""
    from latentbench.api import Evaluation, Measure, Metric, Outcome
    from latentbench.part import Options

    class Options_(Options):
        power: int = added(2, neutral=1)

    class Measured(Evaluation):
        name = "measured"
        metrics = {"power": Measure(None, "none", "The option.")}
        options_model = Options_

        def __init__(self, options):
            self.options = options

        def evaluate(self, trained, generator):
            return Outcome([Metric("power", float(self.options.power))])

    with_it = replace(registry, parts={**registry.parts, "evaluations": {**registry.parts["evaluations"], "measured": Measured}})
    sweep = "{family: gaussian, estimator: mc, dataset: digits, encoder: linear, decoder: linear, training: {steps: 1}}"
    text = f"name: s\nseeds: [1]\nevaluations: [{{measured: {{power: 1}}}}]\nsweeps: [{sweep}]"
    (item,) = make_plan(load_suite(suite_file(text)), with_it, "cpu").runs
    assert item.evaluations[0].options == {}
    assert execute(Job(item.run, item.evaluations), with_it, Store(tmp_path / "r"), "cpu") is None
    assert Store(tmp_path / "r").read("metrics")["value"].tolist() == [1.0]
