"""The JSON Schema of suite files: it admits what can be planned, and refuses what the loader refuses for what the file says."""

import json

import jsonschema
import pytest

from latentbench.errors import UserError
from latentbench.suites.plan import make_plan
from latentbench.suites.schema import suite_schema
from latentbench.suites.suite import load_suite
from latentbench.suites.yaml_source import Source

HEAD = "name: x\nevaluations: [elbo]\n"
SWEEP = "{family: poisson, estimator: mc, dataset: digits, encoder: linear, decoder: linear, training: {steps: 20}}"
PLAIN = f"{HEAD}sweeps: [{SWEEP}]\n"
TUNE = "tune: {metric: nelbo, evaluations: [elbo], models: [family]}\n"


@pytest.fixture(scope="module")
def validator(registry):
    schema = suite_schema(registry)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def data(suite_file):
    return lambda text: Source.read(suite_file(text), "suite", "sweeps").data


def test_every_suite_that_we_ship_is_valid(root, validator):
    suites = sorted((root / "suites").glob("*.yaml"))
    assert suites
    for path in suites:
        validator.validate(Source.read(path, "suite", "sweeps").data)


RIGHT = {
    "plain": PLAIN,
    "lists of values": PLAIN.replace("dataset: digits", "dataset: digits, latent_dim: [5, 10], beta: [0.5, 1]"),
    "dotted settings": PLAIN.replace("training: {steps: 20}", "training.steps: [20, 30]"),
    "options": PLAIN.replace("family: poisson", "family: [poisson, categorical], family_options: {truncate: [true, false]}").replace(
        "training: {", "training: {temperature_stop: 0.1, "
    ),
    "zip": PLAIN.replace("dataset: digits, ", "zip: {dataset: [digits, photo_patches], training: {batch_size: [50, 60]}}, "),
    "defaults": f"{HEAD}defaults: {SWEEP}\nsweeps: [{{beta: [1, 2]}}]\n",
    "option of an override's family": PLAIN.replace("training: {", "seed: [1, 2], family_options: {groups: 2}, training: {").replace(
        "dataset: digits", "dataset: digits, latent_dim: 10, overrides: [{match: {seed: 2}, set: {family: categorical}}]"
    ),
    "seeds as a text": f"{PLAIN}seeds: 1-3\n",
    "one seed": f"{PLAIN}seeds: 4\n",
    "options of evaluations": PLAIN.replace("[elbo]", "[{active_units: {rule: paper}}, {knn: {sizes: [200]}}, {elbo: {split: [train]}}]"),
    "phases": PLAIN.replace("steps: 20", "steps: 20, warmup: 2 steps, beta_anneal: 0.3"),
    "null": PLAIN.replace("steps: 20", "steps: 20, grad_clip: null"),
    "engine": f"{PLAIN}engine: local\n",
    "engine with options": f"{PLAIN}engine: {{name: slurm, time: 12h, per_gpu: auto, sbatch: {{nice: 100}}}}\n",
    "leaderboard": f"{PLAIN}leaderboard: {{metric: nelbo, rows: [family], columns: [training.steps], comparisons: {{baseline: {{family: x}}}}}}\n",
    "tune": f"{PLAIN}{TUNE}",
    "tune with all it may have": f"{PLAIN}{TUNE.replace('[elbo]', '[{elbo: {split: train}}]')[:-2]}, trials: 5, seeds: 7-8, space: {{\n"
    "  training: {learning_rate: {low: 0.001, high: 0.01, log: true}}, family_options.truncate: {choices: [true, false]}}}\n",
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_planned_is_valid(name, validator, data, suite_file, registry):
    assert make_plan(load_suite(suite_file(RIGHT[name])), registry, "cpu").runs
    validator.validate(data(RIGHT[name]))


WRONG = {
    "no name": PLAIN.replace("name: x\n", ""),
    "empty name": PLAIN.replace("name: x", "name: ''"),
    "no sweeps": HEAD,
    "empty sweeps": f"{HEAD}sweeps: []\n",
    "misspelt key": f"{PLAIN}seed: 1\n",
    "misspelt setting": PLAIN.replace("estimator", "estimatr"),
    "misspelt training setting": PLAIN.replace("steps: 20", "step: 20"),
    "misspelt dotted setting": PLAIN.replace("training: {steps: 20}", "training.step: 20"),
    "unknown family": PLAIN.replace("poisson", "poison"),
    "unknown family in a list": PLAIN.replace("poisson", "[poisson, poison]"),
    "unknown data set": PLAIN.replace("digits", "digit"),
    "no family": PLAIN.replace("family: poisson, ", ""),
    "no data set": PLAIN.replace("dataset: digits, ", ""),
    "unknown option": PLAIN.replace("family: poisson", "family: poisson, family_options: {truncat: true}"),
    "option of another family": PLAIN.replace("family: poisson", "family: poisson, family_options: {groups: 2}"),
    "dotted option of another family": PLAIN.replace("family: poisson", "family: [poisson], family_options.groups: 2"),
    "option of another network": PLAIN.replace("encoder: linear", "encoder: linear, encoder_options: {expand: 2}"),
    "option of a wrong kind": PLAIN.replace("family: poisson", "family: poisson, family_options: {truncate: 1}"),
    "negative number": PLAIN.replace("steps: 20", "steps: -20"),
    "boolean for a number": PLAIN.replace("steps: 20", "steps: true"),
    "epochs and steps": PLAIN.replace("steps: 20", "steps: 20, epochs: 2"),
    "share above 1": PLAIN.replace("steps: 20", "steps: 20, warmup: 2"),
    "phase in hours": PLAIN.replace("steps: 20", "steps: 20, warmup: 2 hours"),
    "unknown optimizer": PLAIN.replace("steps: 20", "steps: 20, optimizer: lion"),
    "unknown protocol": PLAIN.replace("dataset: digits", "dataset: digits, protocol: papers"),
    "empty list": PLAIN.replace("dataset: digits", "dataset: digits, beta: []"),
    "zip of one value": PLAIN.replace("dataset: digits", "zip: {dataset: digits}"),
    "exclude as a mapping": PLAIN.replace("dataset: digits", "dataset: digits, exclude: {beta: 1}"),
    "override without set": PLAIN.replace("dataset: digits", "dataset: digits, overrides: [{match: {beta: 1}}]"),
    "list in an override": PLAIN.replace("dataset: digits", "dataset: digits, overrides: [{match: {family: poisson}, set: {beta: [1, 2]}}]"),
    "settings as a text": PLAIN.replace("training: {steps: 20}", "training: 20"),
    "wrong seeds": f"{PLAIN}seeds: 1..3\n",
    "seed twice": f"{PLAIN}seeds: [1, 1]\n",
    "negative seed": f"{PLAIN}seeds: [-1]\n",
    "unknown evaluation": PLAIN.replace("elbo", "elbow"),
    "unknown option of an evaluation": PLAIN.replace("[elbo]", "[{active_units: {thresold: 1}}]"),
    "wrong option of an evaluation": PLAIN.replace("[elbo]", "[{active_units: {rule: papers}}]"),
    "evaluation without options": PLAIN.replace("[elbo]", "[{active_units: 1}]"),
    "share of checkpoints": f"{PLAIN}keep_checkpoints: [2]\n",
    "leaderboard without rows": f"{PLAIN}leaderboard: {{metric: nelbo}}\n",
    "unknown metric": f"{PLAIN}leaderboard: {{metric: nelbow, rows: [family]}}\n",
    "unknown row": f"{PLAIN}leaderboard: {{metric: nelbo, rows: [familie]}}\n",
    "unknown option as row": f"{PLAIN}leaderboard: {{metric: nelbo, rows: [family_options.truncat]}}\n",
    "wrong comparisons": f"{PLAIN}leaderboard: {{metric: nelbo, rows: [family], comparisons: some}}\n",
    "verify without expect": f"{PLAIN}verify: {{margin: 0.1}}\n",
    "expect without a folder": f"{PLAIN}expect: table5\n",
    "tune without models": f"{PLAIN}tune: {{metric: nelbo, evaluations: [elbo]}}\n",
    "tune of an unknown metric": PLAIN + TUNE.replace("nelbo", "nelbow"),
    "tune of an unknown evaluation": PLAIN + TUNE.replace("elbo]", "elbow]"),
    "tune by an unknown setting": PLAIN + TUNE.replace("family", "famly"),
    "search of an unknown setting": f"{PLAIN}{TUNE[:-2]}, space: {{training.learning_rat: {{low: 1, high: 2}}}}}}\n",
    "search of the seed": f"{PLAIN}{TUNE[:-2]}, space: {{seed: {{low: 1, high: 2}}}}}}\n",
    "search without bounds": f"{PLAIN}{TUNE[:-2]}, space: {{beta: {{low: 1}}}}}}\n",
    "search of one choice": f"{PLAIN}{TUNE[:-2]}, space: {{beta: {{choices: [1]}}}}}}\n",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_loader_refuses_is_invalid(name, validator, data, suite_file, registry):
    with pytest.raises(UserError):
        make_plan(load_suite(suite_file(WRONG[name])), registry, "cpu")
    assert not validator.is_valid(data(WRONG[name]))


WRONG_ENGINES = ["slrum", "{name: slurm, tim: 12h}", "{name: slurm, time: 12 hours}", "{name: local, gpus: a-b}", "{cpus: 2}"]


@pytest.mark.parametrize("engine", WRONG_ENGINES)
def test_wrong_engines_are_invalid(engine, validator, data, suite_file, registry):
    from latentbench.suites.launch import Launch, choose_engine

    text = f"{PLAIN}engine: {engine}\n"
    with pytest.raises(UserError):
        choose_engine(Launch(), load_suite(suite_file(text)).engine, registry)
    assert not validator.is_valid(data(text))


def test_the_command_writes_it(cli, tmp_path, registry):
    answer = cli("schema", "--out", tmp_path / "s.json")
    assert (answer.code, answer.out) == (0, "")
    assert json.loads((tmp_path / "s.json").read_text()) == json.loads(json.dumps(suite_schema(registry)))


def test_a_folder_in_the_way_is_named(cli, tmp_path):
    answer = cli("schema", "--out", tmp_path)
    assert answer.code == 2
    assert str(tmp_path) in answer.err


def test_names_come_with_what_they_are(registry):
    family = suite_schema(registry)["$defs"]["value-family"]
    assert dict(zip(family["enum"], family["enumDescriptions"], strict=True))["poisson"].startswith("Poisson")
