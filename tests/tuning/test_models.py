"""The models of a suite, and what is searched of each."""

import pytest

from latentbench.errors import UserError
from latentbench.search import Range
from latentbench.suites.expand import Changes
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite
from latentbench.tuning.told_apart import runs_of
from tests.tuning.conftest import SUITE

RATE, TEMPERATURE = "training.learning_rate", "training.temperature_stop"


def named(models):
    return {str(model): model for model in models}


def test_models_are_the_combinations_of_their_settings_as_runs_read_them(models):
    """A sparse coder has no estimator, whatever its sweep says."""
    assert [str(model) for model in models()] == [
        "family=poisson estimator=mc",
        "family=poisson estimator=exact",
        "family=gaussian estimator=mc",
        "family=gaussian estimator=exact",
        "family=lasso",
    ]


def test_a_family_adds_what_it_declares_where_a_run_reads_it(models):
    """A Gaussian has no temperature, and with `exact` nothing is sampled."""
    assert {name: set(model.space) for name, model in named(models()).items()} == {
        "family=poisson estimator=mc": {RATE, TEMPERATURE},
        "family=poisson estimator=exact": {RATE},
        "family=gaussian estimator=mc": {RATE},
        "family=gaussian estimator=exact": {RATE},
        "family=lasso": {RATE},
    }


def test_what_the_suite_says_wins_over_what_a_family_declares(models):
    poisson = models(space=f"{{{TEMPERATURE}: {{low: 0.2, high: 0.3}}}}")[0]
    assert poisson.space == {TEMPERATURE: Range(low=0.2, high=0.3)}


def test_the_untuned_values_are_those_of_the_runs_where_they_can_be_tried(models):
    assert models()[0].untuned == {RATE: 0.002, TEMPERATURE: 0.05}
    assert models(space=f"{{{RATE}: {{low: 0.01, high: 0.02}}}}")[0].untuned == {TEMPERATURE: 0.05}


def test_the_untuned_value_of_a_duration_is_the_suites_whatever_the_scale(models):
    """What is tried is scaled as well."""
    poisson = models(changes=Changes(scale=2.0), space="{training.steps: {low: 2, high: 9}}")[0]
    assert poisson.untuned["training.steps"] == 3


def test_a_setting_belongs_to_the_sweeps_whose_runs_read_it(models):
    """`learning_rate_min` says where a cosine ends, and the second sweep has none."""
    poisson = models(space="{training.learning_rate_min: {low: 0.0, high: 0.001}}")[0]
    tried = {"training.learning_rate_min": 0.0, TEMPERATURE: 0.1}
    assert [poisson.read(number, tried) for number in (0, 1)] == [tried, {TEMPERATURE: 0.1}]


def test_a_value_may_leave_another_unread(models):
    """A constant learning rate has no end of a cosine."""
    space = "{training.schedule: {choices: [cosine, constant]}, training.learning_rate_min: {low: 0.0, high: 0.001}}"
    poisson = models((", training: {schedule: constant}", ""), space=space)[0]
    tried = {"training.schedule": "constant", "training.learning_rate_min": 0.0}
    assert poisson.read(0, tried) == {"training.schedule": "constant"}
    assert poisson.read(0, {**tried, "training.schedule": "cosine"}) == {**tried, "training.schedule": "cosine"}


def test_matches_are_what_the_sweep_writes(models):
    lasso = named(models())["family=lasso"]
    assert lasso.matches == {1: ({"family": "lasso", "estimator": "mc"},)}
    twice = named(models(("[poisson, lasso], estimator: mc", "[poisson, lasso], estimator: [mc, exact]")))["family=lasso"]
    assert twice.matches == {1: ({"family": "lasso", "estimator": "mc"}, {"family": "lasso", "estimator": "exact"})}


def test_what_a_flag_fixes_is_not_searched(models):
    found = models(changes=Changes(sets={RATE: 0.004}))
    assert [set(model.space) for model in found] == [{TEMPERATURE}, set(), set(), set(), set()]


def test_runs_of_a_plan_are_those_of_their_model(models, suite_file, registry):
    found = models()
    suite = load_suite(suite_file(SUITE))
    grouped = runs_of(found, suite.tune.models, make_plan(suite, registry, "cpu").runs)
    assert [{(item.run.family, item.run.estimator, item.run.dataset) for item in runs} for runs in grouped] == [
        {("poisson", "mc", "digits"), ("poisson", "mc", "photo_patches")},
        {("poisson", "exact", "digits")},
        {("gaussian", "mc", "digits")},
        {("gaussian", "exact", "digits")},
        {("lasso", None, "photo_patches")},
    ]


def test_values_that_a_run_cannot_have_together_are_not_possible(models):
    """A warm-up is shorter than its run."""
    poisson = models(space="{training.warmup: {choices: [0.01, 2 steps]}, training.steps: {low: 2, high: 9}}")[0]
    assert poisson.possible({"training.warmup": "2 steps", "training.steps": 9})
    assert not poisson.possible({"training.warmup": "2 steps", "training.steps": 2})


def test_only_the_models_that_flags_select(models):
    assert [str(model) for model in models(changes=Changes(only={"family": ["gaussian"]}))] == [
        "family=gaussian estimator=mc",
        "family=gaussian estimator=exact",
    ]


def test_a_declared_setting_that_the_suite_compares_is_not_searched(models):
    swept = ("dataset: digits", "dataset: digits, training: {temperature_stop: [0.05, 0.1]}")
    assert set(models(swept)[0].space) == {RATE}


WRONG = {
    "compared values": (
        [("dataset: digits", "dataset: digits, training: {learning_rate: [0.001, 0.002]}")],
        None,
        "suite.yaml:14: 'training.learning_rate' cannot be searched: runs of one model have 0.001, 0.002; add what tells them apart",
    ),
    "value that a setting cannot have": ([], "{training.learning_rate: {low: -1.0, high: 1.0}}", "suite.yaml:13: training.learning_rate: "),
    "half a unit": ([], "{latent_dim: {low: 2.0, high: 5.0}}", "suite.yaml:13: latent_dim: "),
    "part that does not apply": (
        [("family: [poisson, gaussian], estimator: [mc, exact]", "family: poisson, estimator: exact")],
        "{decoder: {choices: [linear, mlp]}}",
        "suite.yaml:13: 'decoder' at 'mlp' does not go with poisson exact digits",
    ),
    "models that are written alike": (
        [
            ("models: [family, estimator]", "models: [likelihood]"),
            ("dataset: digits", "dataset: [digits, mnist_binary]"),
            ("[poisson, lasso]", "poisson"),
        ],
        None,
        "alike in these settings",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_searched_is_refused(name, models):
    replaced, space, message = WRONG[name]
    with pytest.raises(UserError) as error:
        models(*replaced, space=space)
    assert message in str(error.value)


def test_every_setting_that_a_shipped_part_declares_is_read_by_a_run_of_it(registry, make_run):
    declaring = [(kind, part) for kind, parts in registry.parts.items() for part in parts.values() if getattr(part, "search", None)]
    assert {part.name for kind, part in declaring if kind == "families"} == {"poisson", "categorical", "bernoulli", "iterative_poisson"}
    for kind, part in declaring:
        assert kind == "families"
        settings = {key.replace(".", "__"): searched.examples[0] for key, searched in part.search.items()}
        iterative = {"encoder": None, "estimator": None} if part.cost == "free_energy" else {}
        assert {key.replace("__", ".") for key in settings} <= make_run(family=part.name, **iterative, **settings).read
