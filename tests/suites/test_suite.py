"""Suite files: what they can say, and every mistake with its file and line."""

import pytest

from latentbench.errors import UserError
from latentbench.suites.plan import Changes, make_plan
from latentbench.suites.suite import load_suite

BASE = """\
name: test
seeds: [1, 2]
evaluations: [elbo]
defaults:
  encoder: linear
  decoder: linear
  latent_dim: 4
  training: {steps: 10}
sweeps:
"""


@pytest.fixture
def runs(suite_file, registry):
    """The runs that a suite with these sweeps plans."""

    def plan(sweeps, changes=None, base=BASE):
        return make_plan(load_suite(suite_file(base + sweeps)), registry, "cpu", changes or Changes())

    return plan


def described(plan):
    return [(p.run.family, p.run.estimator, p.run.dataset, p.run.seed) for p in plan.runs]


def test_a_sweep_is_a_product(runs):
    plan = runs("  - {family: [poisson, gaussian], estimator: [mc, exact], dataset: digits}\n")
    assert len(plan.runs) == len(set(described(plan))) == 8
    assert plan.runs[0].evaluations[0].name == "elbo"


def test_zip_goes_in_step(runs):
    plan = runs("  - {family: poisson, estimator: mc, zip: {dataset: [digits, photo_patches], training: {batch_size: [50, 70]}}}\n")
    assert {(p.run.dataset, p.run.training["batch_size"]) for p in plan.runs} == {("digits", 50), ("photo_patches", 70)}


def test_exclude_and_overrides(runs):
    plan = runs(
        "  - family: [poisson, categorical]\n    estimator: [mc, exact]\n    dataset: digits\n"
        "    exclude: [{family: poisson, estimator: exact}]\n"
        "    overrides:\n      - {match: {family: categorical, estimator: [mc]}, set: {training: {temperature_stop: 0.3}}}\n"
    )
    assert {d[:2] for d in described(plan)} == {("poisson", "mc"), ("categorical", "mc"), ("categorical", "exact")}
    stops = {p.run.training.get("temperature_stop") for p in plan.runs if p.run.family == "categorical"}
    assert stops == {0.3, None}


def test_families_bring_their_own_temperatures(runs):
    plan = runs("  - {family: [poisson, categorical, gaussian], estimator: mc, dataset: digits}\n")
    assert {p.run.family: p.run.training.get("temperature_stop") for p in plan.runs} == {"poisson": 0.05, "categorical": 0.1, "gaussian": None}


def test_a_setting_that_some_runs_do_not_read_never_splits_them(runs):
    plan = runs("  - {family: [poisson, gaussian], estimator: mc, dataset: digits, training: {temperature_stop: [0.1, 0.2]}}\n")
    assert len([p for p in plan.runs if p.run.family == "gaussian"]) == 2
    assert len([p for p in plan.runs if p.run.family == "poisson"]) == 4


def test_combinations_that_do_not_apply_are_left_out_with_their_reason(runs):
    plan = runs("  - {family: poisson, estimator: [mc, exact], dataset: digits, decoder: [linear, test_mlp]}\n")
    assert len(plan.runs) == 6
    assert {u.reason for u in plan.inapplicable} == {"estimator 'exact' does not apply: it needs a linear decoder, and 'test_mlp' is not"}


def test_iterative_families_need_no_encoder_and_estimator(runs):
    plan = runs("  - {family: [test_lca, poisson], estimator: [mc, exact], dataset: digits}\n")
    assert len(plan.runs) == 2 + 4
    assert plan.runs[0].run.estimator is plan.runs[0].run.encoder is plan.runs[0].run.beta is None


def test_suites_include_others_and_share_runs(suite_file, registry):
    suite_file(BASE + "  - {family: [poisson, gaussian], estimator: mc, dataset: digits}\n", "one.yaml")
    both = suite_file(
        "name: both\ninclude: [one.yaml]\nseeds: [1]\nevaluations: [sparsity]\nsweeps:\n"
        "  - {family: poisson, estimator: mc, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 10}}\n"
    )
    plan = make_plan(load_suite(both), registry, "cpu")
    assert len(plan.runs) == 4
    shared = next(p for p in plan.runs if p.run.family == "poisson" and p.run.seed == 1)
    assert [e.name for e in shared.evaluations] == ["elbo", "sparsity"]


def test_order_and_company_do_not_change_ids(runs):
    one = {p.run.id for p in runs("  - {family: [poisson, gaussian], estimator: mc, dataset: digits}\n").runs}
    other = {p.run.id for p in runs("  - {dataset: digits, estimator: [exact, mc], family: [gaussian, laplace, poisson]}\n").runs}
    assert one < other


def test_changes_from_the_command_line(runs):
    sweeps = "  - {family: [poisson, gaussian], estimator: mc, dataset: digits, training: {steps: 10, warmup: 4 steps}}\n"
    scaled = runs(sweeps, Changes(scale=0.5, seeds=[7], limit_data=0.1, only={"family": ["poisson"]}, sets={"training.batch_size": 9}))
    (run,) = [p.run for p in scaled.runs]
    assert (run.seed, run.limit_data, run.training["steps"], run.training["warmup"]) == (7, 0.1, 5, "2 steps")
    assert run.training["batch_size"] == 9
    assert run.id not in {p.run.id for p in runs(sweeps).runs}


def test_only_selects_and_does_not_change_what_the_sweep_means(runs):
    """A setting that only unselected runs read is no mistake."""
    sweeps = "  - {family: [poisson, gaussian], estimator: mc, dataset: digits, training: {temperature_stop: 0.1}}\n"
    assert {d[0] for d in described(runs(sweeps, Changes(only={"family": ["gaussian"]})))} == {"gaussian"}


def test_changes_come_before_rules(runs):
    """A changed data set is the one that overrides and excludes see."""
    sweeps = (
        "  - family: gaussian\n    estimator: mc\n    dataset: [digits, photo_patches]\n"
        "    overrides: [{match: {dataset: photo_patches}, set: {encoder_options: {init_std: 0.01}}}]\n"
    )
    plan = runs(sweeps, Changes(sets={"dataset": "digits"}))
    assert len(plan.runs) == 2
    assert all("init_std" not in p.run.encoder_options for p in plan.runs)


def test_a_length_replaces_the_other_kind(runs):
    (run, _) = [p.run for p in runs("  - {family: gaussian, estimator: mc, dataset: digits, training: {epochs: 3}}\n").runs]
    assert (run.training.get("steps"), run.training["epochs"]) == (None, 3)
    (run, _) = [p.run for p in runs("  - {family: gaussian, estimator: mc, dataset: digits, training: {steps: 1e3}}\n", Changes(scale=0.01)).runs]
    assert run.training["steps"] == 10


def test_only_sees_defaults_too(runs):
    sweeps = "  - {family: gaussian, estimator: mc, dataset: digits}\n"
    assert len(runs(sweeps, Changes(only={"likelihood": ["gaussian"], "beta": [1.0]})).runs) == 2


def test_merge_keys(runs):
    text = "  - &base {family: gaussian, estimator: mc, dataset: digits}\n  - {<<: *base, family: laplace}\n"
    assert {d[0] for d in described(runs(text))} == {"gaussian", "laplace"}


def test_an_encoder_cannot_decode(runs):
    with pytest.raises(UserError, match="decoder 'test_dropout' does not apply: the network has no decoder"):
        runs("  - {family: gaussian, estimator: mc, dataset: digits, decoder: test_dropout}\n")


def test_numbers_like_1e_4_are_numbers(runs):
    (run, _) = [p.run for p in runs("  - {family: gaussian, estimator: mc, dataset: digits, training: {learning_rate: 1e-4}}\n").runs]
    assert run.training["learning_rate"] == 1e-4


@pytest.mark.parametrize(("seeds", "expected"), [("1-3", [1, 2, 3]), ("'1-3,7'", [1, 2, 3, 7]), ("5", [5]), ("[1, 5]", [1, 5])])
def test_seeds_are_a_list_or_a_text(seeds, expected, runs):
    plan = runs("  - {family: gaussian, estimator: mc, dataset: digits}\n", base=BASE.replace("[1, 2]", seeds))
    assert [p.run.seed for p in plan.runs] == expected


def test_a_schedule_needs_no_quotes(runs):
    """1:5:1 is a base-60 number in YAML 1.1."""
    plan = runs("  - {family: lca, dataset: digits, family_options: {l1_weight: [1:5:1, 2]}}\n", base=BASE.replace("  encoder: linear\n", ""))
    assert [p.run.family_options["l1_weight"] for p in plan.runs] == ["1:5:1", 2.0] * 2


@pytest.mark.parametrize(
    ("only", "n"),
    [
        ({"beta": [1]}, 4),
        ({"beta": [1.0, "2"]}, 8),
        ({"training.steps": [1e1], "beta": [2]}, 4),
        ({"latent_dim": [4.0], "family": ["gaussian"]}, 4),
        ({"encoder_options.bias": [False], "estimator": ["mc"]}, 8),
    ],
)
def test_only_compares_numbers_as_numbers(only, n, runs):
    assert len(runs("  - {family: [poisson, gaussian], estimator: mc, dataset: digits, beta: [1, 2.0]}\n", Changes(only=only)).runs) == n


def test_rules_compare_numbers_as_numbers_and_booleans_as_none(runs):
    sweep = "  - {family: gaussian, estimator: mc, dataset: digits, beta: [1.0, 2], encoder_options: {bias: [true, false]}, exclude: [RULE]}\n"
    assert len(runs(sweep.replace("RULE", "{beta: 1}")).runs) == 4
    assert len(runs(sweep.replace("RULE", "{beta: 1, encoder_options: {bias: true}}")).runs) == 6
    with pytest.raises(UserError, match="exclude matches no run"):
        runs(sweep.replace("RULE", "{encoder_options: {bias: 1}}"))


def test_runs_are_told_apart_by_what_varies_in_the_suite(runs):
    """In settings that the suite sweeps, and in all where words are the same; never in what no suite says."""
    plan = runs(
        "  - {family: [poisson, gaussian], estimator: mc, dataset: digits, zip: {beta: [1, 2], training: {learning_rate: [0.1, 0.2]}}}\n"
        "  - {family: gaussian, estimator: mc, dataset: digits, likelihood: gaussian, latent_dim: 5, encoder_options: {bias: true}}\n"
        "  - {family: gaussian, estimator: mc, dataset: digits, decoder_options: {bias: true}}\n"
    )
    labels = [p.label for p in plan.runs]
    assert len(set(labels)) == len(labels) == 12
    assert labels[0] == "poisson mc digits linear|linear seed 1 beta=1.0 latent_dim=4 learning_rate=0.1".replace(
        " latent_dim", " decoder_options.bias=False encoder_options.bias=False latent_dim"
    )
    assert not any("plugins" in label or "sources" in label for label in labels)


def test_a_published_folder_that_is_not_there_is_a_note(runs, suite_file, tmp_path):
    base = BASE.replace("sweeps:", "expect: [published/table5, published/seeds]\nsweeps:")
    sweep = "  - {family: gaussian, estimator: mc, dataset: digits}\n"
    notes = runs(sweep, base=base).notes
    assert [note.partition("suite.yaml")[2].partition(":")[0] for note in notes] == ["", ""]
    assert "there is no folder results/published in the suite's folder or above it" in notes[0]
    tables = tmp_path / "results" / "published" / "summaries"
    tables.mkdir(parents=True)
    for name in ("table5", "seeds"):
        (tables / f"{name}.parquet").touch()
    assert runs(sweep, base=base).notes == ()


@pytest.mark.parametrize("metric", ["nelbo", "kl", "r2", "sparse_coding_cost"])
def test_a_leaderboard_has_a_metric_that_an_evaluation_of_the_suite_or_a_family_declares(metric, runs):
    base = BASE.replace("sweeps:", f"leaderboard: {{metric: {metric}, rows: [family]}}\nsweeps:")
    assert runs("  - {family: gaussian, estimator: mc, dataset: digits}\n", base=base).notes == ()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("knn_accuracy_7", r"metric 'knn_accuracy_7': no evaluation or family declares it \(did you mean 'knn_accuracy'\?\)"),
        ("lifetime_sparsity", "metric 'lifetime_sparsity' is measured by sparsity; the suite asks for elbo"),
    ],
)
def test_a_leaderboard_of_a_metric_that_the_suite_does_not_measure_is_refused(metric, message, runs):
    base = BASE.replace("sweeps:", f"leaderboard: {{metric: {metric}, rows: [family]}}\nsweeps:")
    with pytest.raises(UserError, match=message):
        runs("  - {family: gaussian, estimator: mc, dataset: digits}\n", base=base)


MISTAKES = {
    "unknown key": ("nam: x\nsweeps: []\n", r"suite.yaml:1: unknown key 'nam' \(did you mean 'name'\?\)"),
    "missing name": ("sweeps: []\n", "'name' is missing"),
    "wrong type": ("name: x\nseeds: lots\nsweeps: []\n", "suite.yaml:2: seeds: expected numbers like 0-7 or 0,2, got 'lots'"),
    "no sweeps": ("name: x\n", "the suite has no sweeps"),
    "not YAML": ("name: x\nsweeps: [\n  - {family: poisson\n", r"suite.yaml:\d+: not valid YAML"),
    "a list": ("- a\n- b\n", "a suite is a mapping"),
    "empty file": ("", "a suite is a mapping"),
    "key twice": ("name: x\nname: y\n", "suite.yaml:2: not valid YAML: duplicate key 'name'"),
    "unknown setting": (BASE + "  - {famly: poisson}\n", r"suite.yaml:10: unknown setting 'famly' \(did you mean 'family'\?\)"),
    "unknown training": (
        BASE + "  - family: poisson\n    training:\n      learning_rat: 1\n",
        r"suite.yaml:12: unknown setting 'training.learning_rat' \(did you mean 'training.learning_rate'\?\)",
    ),
    "unknown family": (
        BASE + "  - dataset: digits\n    family: [poisson, posson]\n    estimator: mc\n",
        r"suite.yaml:11: .*unknown family 'posson' \(did you mean 'poisson'\?\)",
    ),
    "unknown evaluation": (
        BASE.replace("[elbo]", "[elbo, elbow]") + "  - {family: poisson, estimator: mc, dataset: digits}\n",
        r"suite.yaml:3: unknown evaluation 'elbow' \(did you mean 'elbo'\?\)",
    ),
    "evaluation option": (
        BASE.replace("[elbo]", "[{active_units: {treshold: 1}}]") + "  - {family: poisson, estimator: mc, dataset: digits}\n",
        r"suite.yaml:3: evaluation 'active_units': unknown key 'treshold' .did you mean 'threshold'",
    ),
    "empty sweep": (BASE + "  - {family: [], estimator: mc, dataset: digits}\n", "suite.yaml:10: the sweep is empty: 'family' has no values"),
    "all excluded": (
        BASE + "  - {family: poisson, estimator: mc, dataset: digits, exclude: [{family: poisson}]}\n",
        "suite.yaml:10: the sweep is empty: no run is left",
    ),
    "exclude nothing": (
        BASE + "  - {family: poisson, estimator: mc, dataset: digits, exclude: [{family: gaussian}]}\n",
        "exclude matches no run of the sweep",
    ),
    "unread setting": (
        BASE + "  - family: gaussian\n    estimator: mc\n    dataset: digits\n    training: {temperature_stop: 0.1}\n",
        "suite.yaml:13: no run of the sweep reads 'training.temperature_stop'",
    ),
    "unknown option": (
        BASE + "  - {family: categorical, family_options: {group: 2}, estimator: mc, dataset: digits}\n",
        r"unknown option 'family_options.group' \(did you mean 'groups'\?\)",
    ),
    "exact alone": (
        BASE + "  - {family: poisson, estimator: exact, dataset: digits, decoder: test_mlp}\n",
        "suite.yaml:10: estimator 'exact' does not apply: it needs a linear decoder, and 'test_mlp' is not; no run of the sweep can use it",
    ),
    "no estimator": (BASE + "  - {family: poisson, dataset: digits}\n", "suite.yaml:10: estimator: is missing"),
    "uneven zip": (
        BASE + "  - {family: poisson, estimator: mc, zip: {dataset: [digits], latent_dim: [1, 2]}}\n",
        "zip needs lists of one length, got dataset: 1, latent_dim: 2",
    ),
    "bad override": (
        BASE + "  - {family: poisson, estimator: mc, dataset: digits, overrides: [{match: {family: poisson}}]}\n",
        "an override has two parts",
    ),
    "bad duration": (
        BASE + "  - {family: poisson, estimator: mc, dataset: digits, training: {warmup: soon}}\n",
        "suite.yaml:10: training.warmup: a duration is a share of the run",
    ),
    "unread default": (
        BASE.replace("{steps: 10}", "{steps: 10, temperature_stop: 0.3}") + "  - {family: gaussian, estimator: mc, dataset: digits}\n",
        "suite.yaml:8: no run of the sweep reads 'training.temperature_stop'",
    ),
    "misspelt default": (
        BASE.replace("encoder: linear\n", "encoder: linear\n  encoder_options: {biass: true}\n", 1)
        + "  - {family: gaussian, estimator: mc, dataset: digits}\n",
        r"unknown option 'encoder_options.biass' \(did you mean 'bias'\?\)",
    ),
    "bad default": (
        BASE.replace("latent_dim: 4", "latent_dim: many") + "  - {family: gaussian, estimator: mc, dataset: digits}\n",
        "suite.yaml:7: latent_dim",
    ),
    "unread schedule": (
        BASE + "  - {family: gaussian, estimator: mc, dataset: digits, training: {schedule: constant, restarts: 2}}\n",
        "no run of the sweep reads 'training.restarts'",
    ),
    "zip twice": (
        BASE + "  - {family: poisson, estimator: mc, dataset: digits, zip: {dataset: [digits, photo_patches]}}\n",
        "'dataset' is in zip and in its sweep",
    ),
    "leaderboard": (
        BASE.replace("sweeps:", "leaderboard: {metric: nelbo, rows: [famly]}\nsweeps:") + "  - {family: poisson, estimator: mc, dataset: digits}\n",
        r"suite.yaml:9: unknown setting 'famly'",
    ),
    "infinity": (BASE + "  - {family: gaussian, estimator: mc, dataset: digits, beta: .inf}\n", "suite.yaml:10: beta: .*finite"),
    "large seed": (
        BASE.replace("[1, 2]", "[9223372036854775808]") + "  - {family: gaussian, estimator: mc, dataset: digits}\n",
        "suite.yaml:2: seeds.0: ",
    ),
    "strange key": ("? [a, b]\n: 3\n", "not valid YAML"),
    "strange value": ("name: !!int abc\n", "not valid YAML"),
    "endless": ("name: &a [*a]\n", "not valid YAML"),
    "missing include": ("name: x\ninclude: [none.yaml]\n", "none.yaml does not exist"),
    "includes itself": ("name: x\ninclude: [suite.yaml]\n", "the suite includes itself"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_and_line(mistake, suite_file, cli):
    text, message = MISTAKES[mistake]
    answer = cli("plan", suite_file(text))
    assert answer.code == 2
    with pytest.raises(UserError, match=message):
        raise UserError(answer.err)
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("shares", "problem"), [("[0, 2]", "less than or equal to 1"), ("[0.5, 0.5]", "0.5 is given twice"), ("half", "expected a list")]
)
def test_shares_of_a_run_to_keep_models_at_are_checked(tmp_path, shares, problem):
    path = tmp_path / "kept.yaml"
    path.write_text(f"name: kept\nkeep_checkpoints: {shares}\nsweeps: [{{family: poisson}}]\n")
    with pytest.raises(UserError, match=rf"kept.yaml:2: keep_checkpoints.*{problem}"):
        load_suite(path)


def test_shares_to_keep_models_at_are_those_of_a_suite_and_of_those_it_includes(tmp_path):
    (tmp_path / "inner.yaml").write_text("name: inner\nkeep_checkpoints: [1, 0.1]\nsweeps: [{family: poisson}]\n")
    (tmp_path / "outer.yaml").write_text("name: outer\nkeep_checkpoints: [0, 0.1]\ninclude: [inner.yaml]\n")
    assert load_suite(tmp_path / "outer.yaml").keep_checkpoints == (0, 0.1, 1)
