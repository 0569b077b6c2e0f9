"""The section `tune` of a suite file."""

import pytest

from latentbench.errors import UserError
from latentbench.search import Choices, Range
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

HEAD = """\
name: small
seeds: [1, 2]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 3, batch_size: 50}}
sweeps: [{family: [poisson, gaussian], estimator: mc, dataset: digits}]
leaderboard: {metric: nelbo, rows: [family]}
"""
SECTION = """\
tune:
  evaluations: [elbo]
  models: [family]
  space:
    training.learning_rate: {low: 0.001, high: 0.01, log: true}
"""


def read(suite_file, text):
    return load_suite(suite_file(text)).tune


def test_what_the_section_does_not_say(suite_file):
    tuning = read(suite_file, HEAD + SECTION)
    assert (tuning.metric, tuning.index, tuning.trials, tuning.seeds, tuning.models) == ("nelbo", None, 20, (101,), ("family",))
    assert tuning.space == {"training.learning_rate": Range(low=0.001, high=0.01, log=True)}
    assert load_suite(suite_file(HEAD)).tune is None


def test_the_seed_of_tuning_is_none_of_the_suite(suite_file):
    assert read(suite_file, HEAD.replace("[1, 2]", "'99-103'") + SECTION).seeds == (104,)
    assert read(suite_file, HEAD + SECTION + "  seeds: 7-8\n").seeds == (7, 8)


def test_settings_are_nested_or_have_dots(suite_file):
    nested = SECTION.replace("training.learning_rate: {", "training: {batch_size: {choices: [20, 50]}, learning_rate: {").replace("true}", "true}}")
    tuning = read(suite_file, HEAD + nested)
    assert tuning.space.keys() == {"training.learning_rate", "training.batch_size"}
    assert tuning.space["training.batch_size"] == Choices(choices=(20, 50))
    assert tuning.where("training.batch_size").endswith("suite.yaml:11")


def space(line):
    return SECTION.replace("training.learning_rate: {low: 0.001, high: 0.01, log: true}", line)


WRONG = {
    "misspelt key": (HEAD + SECTION + "  trails: 3\n", "suite.yaml:12: unknown key 'tune.trails' (did you mean 'trials'?)"),
    "no models": (HEAD + SECTION.replace("  models: [family]\n", ""), "suite.yaml:7: 'tune.models' is missing"),
    "empty models": (HEAD + SECTION.replace("[family]", "[]"), "suite.yaml:9: tune.models: "),
    "no evaluations": (HEAD + SECTION.replace("  evaluations: [elbo]\n", ""), "suite.yaml:7: 'tune.evaluations' is missing"),
    "no trials": (HEAD + SECTION + "  trials: 0\n", "suite.yaml:12: tune.trials: "),
    "no metric": (HEAD.replace("leaderboard: {metric: nelbo, rows: [family]}\n", "") + SECTION, "suite.yaml:6: 'metric' is missing"),
    "seeds of the suite": (HEAD + SECTION + "  seeds: [2, 3]\n", "suite.yaml:12: tuning seeds must not be seeds of the suite, and 2 is"),
    "unknown model setting": (HEAD + SECTION.replace("[family]", "[famly]"), "suite.yaml:9: unknown setting 'famly' (did you mean 'family'?)"),
    "seed as a model": (HEAD + SECTION.replace("[family]", "[family, seed]"), "suite.yaml:9: 'seed' names no model"),
    "unknown option of models": (HEAD + SECTION.replace("[family]", "[family_options.x]"), "suite.yaml:9: unknown option 'family_options.x'"),
    "unknown setting": (HEAD + space("training.learning_rat: {low: 1, high: 2}"), "unknown setting 'training.learning_rat'"),
    "unknown option": (HEAD + space("family_options.x: {low: 1, high: 2}"), "suite.yaml:11: unknown option 'family_options.x'"),
    "two lengths": (
        HEAD + space("training: {steps: {low: 1, high: 9}, epochs: {low: 1, high: 2}}"),
        "suite.yaml:10: a run has one length: search training.steps or training.epochs",
    ),
    "no range": (HEAD + space("beta: 3"), "suite.yaml:11: beta: expected {low: ..., high: ...} or {choices: [...]}"),
    "choices that are no list": (HEAD + space("beta: {choices: 3}"), "suite.yaml:11: beta: choices: expected a list, got 3"),
    "bounds in the wrong order": (HEAD + space("beta: {low: 2, high: 1}"), "suite.yaml:11: beta: low must be below high"),
    "seed": (HEAD + space("seed: {low: 1, high: 9}"), "suite.yaml:11: 'seed' cannot be searched: seeds are not tuned"),
    "what tells models apart": (HEAD + space("family: {choices: [poisson, laplace]}"), "suite.yaml:11: 'family' cannot be searched: it tells"),
    "test split": (HEAD + SECTION.replace("[elbo]", "[{elbo: {split: test}}]"), "suite.yaml:8: elbo(split=test) measures the test split"),
    "unknown evaluation": (HEAD + SECTION.replace("[elbo]", "[elbow]"), "suite.yaml:8: unknown evaluation 'elbow'"),
    "unknown metric": (HEAD + SECTION + "  metric: nelbow\n", "suite.yaml:12: no evaluation or family declares the metric 'nelbow'"),
    "metric without a direction": (HEAD + SECTION + "  metric: kl\n", "suite.yaml:12: metric 'kl' declares no direction"),
    "metric of no evaluation": (HEAD + SECTION.replace("[elbo]", "[sparsity]"), "suite.yaml:7: metric 'nelbo' is measured by none of sparsity"),
    "metric of two": (
        HEAD + SECTION.replace("[elbo]", "[elbo, {elbo: {split: train}}]"),
        "is measured by 2 of elbo, elbo(split=train); tuning needs one",
    ),
    "index of no curve": (HEAD + SECTION + "  index: 3\n", "suite.yaml:12: metric 'nelbo' has no index, got 3"),
    "curve without an index": (
        HEAD + SECTION.replace("[elbo]", "[knn]") + "  metric: knn_accuracy\n",
        "suite.yaml:12: metric 'knn_accuracy' has an index, ",
    ),
    "included suites": (HEAD + SECTION + "include: [other.yaml]\n", "suite.yaml:12: a suite with `tune` has its sweeps itself"),
    "seeds of a sweep": (
        HEAD.replace("estimator: mc", "estimator: mc, seed: [1, 2]") + SECTION,
        "suite.yaml:5: a suite with `tune` has one list of seeds",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_section_is_refused_with_its_line(name, suite_file, registry):
    text, message = WRONG[name]
    suite_file(HEAD, "other.yaml")
    with pytest.raises(UserError) as error:
        make_plan(load_suite(suite_file(text)), registry, "cpu")
    assert message in str(error.value)


def test_a_section_changes_nothing_of_the_plan(suite_file, registry):
    """Neither its runs nor their ids."""
    with_section, without = (make_plan(load_suite(suite_file(text)), registry, "cpu") for text in (HEAD + SECTION, HEAD))
    assert [item.run.id for item in with_section.runs] == [item.run.id for item in without.runs]
