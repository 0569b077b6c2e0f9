"""The suites of iterative VAEs have the runs that published numbers are of, and measure what those numbers are."""

import pytest

from latentbench.reporting.expected import expected, fits, settings_of_row
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

PUBLISHED = {"iterative": ["iterative_rate_distortion", "iterative_convergence"], "iterative_mnist": ["iterative_mnist"]}
NOT_OURS = {"iterative_mnist": {"sse"}}


@pytest.fixture(scope="module")
def planned(root, registry):
    def plan(name):
        path = root / "suites" / f"{name}.yaml"
        suite = load_suite(path)
        return expected(path, suite.verify).values, make_plan(suite, registry, "cuda").runs

    return plan


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_iterative_model_is_a_run_of_the_suite(planned, name):
    values, runs = planned(name)
    ours = {}
    for item in runs:
        ours.setdefault(str(item.run.model_copy(update={"seed": 0}).id), settings_of_row(item.run.to_row()))
    theirs = [value for value in values if str(value.settings["family"]).startswith("iterative")]
    assert theirs
    found = set()
    for value in theirs:
        matching = [key for key, run in ours.items() if fits(value.settings, run)]
        assert len(matching) == 1, value.settings
        found |= set(matching)
    assert found == set(ours)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_suite_measures_what_is_published(planned, registry, name):
    values, runs = planned(name)
    wanted = {value.measured.metric for value in values if str(value.settings["family"]).startswith("iterative")} - NOT_OURS.get(name, set())
    asked = {registry.parts["evaluations"][spec.name] for spec in runs[0].evaluations}
    assert wanted <= {metric for part in asked for metric in part.metrics}


def test_curves_are_measured_at_the_published_times(planned):
    values, runs = planned("iterative")
    (dynamics,) = [spec for spec in runs[0].evaluations if spec.name == "inference_dynamics"]
    assert [float(t) for t in dynamics.options["times"]] == sorted({float(value.measured.index) for value in values if value.measured.index})
