"""`--plugin FILE.py`: parts of a file that is not packaged, through the command line and processes of their own."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import latentbench

PLUGIN = '''\
"""A family and an evaluation that are not packaged."""

import torch
from torch.distributions import Gumbel

from latentbench import hookimpl
from latentbench.api import Evaluation, Measure, Metric, Outcome, TorchFamily

SCALE = 1.0


class GumbelFamily(TorchFamily):
    """Gumbel latents."""

    name = "filed_gumbel"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.register_buffer("zero", torch.zeros(self.latent_dim))

    def posterior_distribution(self, features):
        loc, log_scale = features.chunk(2, dim=1)
        return Gumbel(loc, log_scale.tanh().exp())

    def prior_distribution(self, batch):
        return Gumbel(self.zero.expand(batch, -1), SCALE * torch.ones_like(self.zero))


class Scale(Evaluation):
    """What the file's constant is where it is measured."""

    name = "filed_scale"
    metrics = {"scale": Measure(None, "1", "The constant of the file.")}

    def evaluate(self, trained, generator):
        return Outcome(metrics=[Metric("scale", SCALE)])


@hookimpl
def register_families():
    return [GumbelFamily]


@hookimpl
def register_evaluations():
    return [Scale]
'''
SUITE = """\
name: filed
seeds: [1, 2]
evaluations: [elbo]
defaults: {estimator: mc, encoder: linear, decoder: linear, latent_dim: 4, dataset: digits, training: {steps: 5, batch_size: 50}}
sweeps:
  - {family: [gaussian, filed_gumbel]}
"""


@pytest.fixture
def suite(suite_file):
    return suite_file(SUITE)


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def ids(cli, suite, plugin, tmp_path):
    """The ids of the planned runs by family."""

    def planned(*words, file=plugin):
        answer = cli("plan", suite, "--results", tmp_path / "r", "--format", "json", "--plugin", file, *words)
        assert answer.code == 0, answer.err
        runs = json.loads(answer.out)["runs"]
        return {family: [run["id"] for run in runs if run["settings"]["family"] == family] for family in ("gaussian", "filed_gumbel")}

    return planned


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder with runs that two processes have trained; and what was printed."""
    folder = tmp_path_factory.mktemp("filed")
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "suite.yaml").write_text(SUITE)
    words = ["run", "suite.yaml", "--results", "r", "--plugin", "mine.py", "--cpus", "2"]
    done = subprocess.run([sys.executable, "-m", "latentbench", *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def folder(ran, tmp_path):
    """A copy of it, without the plugin file that was given."""
    shutil.copytree(ran / "r", tmp_path / "r")
    return tmp_path / "r"


def rows(results, **settings):
    runs = pd.read_parquet(results / "runs")
    for name, value in settings.items():
        runs = runs[runs[name] == value]
    return runs


def scales(results):
    """Run -> the constant that was measured."""
    metrics = pd.read_parquet(results / "metrics")
    return metrics[metrics["metric"] == "scale"].set_index("run_id")["value"].to_dict()


def test_two_processes_train_what_a_file_defines(ran):
    found = rows(ran / "r", family="filed_gumbel")
    assert list(found["status"]) == ["done", "done"]
    (copy,) = (ran / "r" / "plugins").iterdir()
    digest = copy.stem.removeprefix("mine-")
    assert copy.read_text() == PLUGIN
    assert json.loads(found["plugins"].iloc[0])["family:filed_gumbel"] == f"1+{digest}"
    assert copy.name in json.loads(found["sources"].iloc[0])  # the hashes of the code cover it


def test_runs_without_its_parts_keep_their_ids_and_hashes(cli, suite_file, ran, tmp_path):
    alone = suite_file(SUITE.replace("[gaussian, filed_gumbel]", "gaussian"))
    answer = cli("plan", alone, "--results", tmp_path / "none", "--format", "json")
    found = rows(ran / "r", family="gaussian")
    assert {run["id"] for run in json.loads(answer.out)["runs"]} == set(found["run_id"])
    assert not any("mine" in text for text in (*found["sources"], *found["plugins"]))


def test_the_same_command_finds_all_done(cli, suite, plugin, folder):
    answer = cli("run", suite, "--results", folder, "--plugin", plugin, "--engine", "test_inline")
    assert (answer.code, "4 not run again, 0 to run" in answer.out + answer.err) == (0, True)


def test_comments_docstrings_and_layout_leave_ids_as_they_are(ids, plugin):
    before = ids()
    plugin.write_text(PLUGIN.replace('"""Gumbel latents."""', '"""Other words."""  # and a comment').replace("SCALE = 1.0", "SCALE = (\n    1.0\n)"))
    assert ids() == before


def test_an_edit_changes_the_ids_of_its_runs_alone(ids, plugin):
    before = ids()
    plugin.write_text(PLUGIN.replace("SCALE = 1.0", "SCALE = 2.0"))
    after = ids()
    assert after["gaussian"] == before["gaussian"]
    assert not set(after["filed_gumbel"]) & set(before["filed_gumbel"])


def test_where_a_file_lies_and_what_it_is_called_is_in_no_id(ids, plugin, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "other.py"
    other.write_text(PLUGIN)
    assert ids(file=other) == ids()


def test_plan_says_why_an_edited_file_makes_other_runs(cli, suite, plugin, folder):
    plugin.write_text(PLUGIN.replace("SCALE = 1.0", "SCALE = 2.0"))
    answer = cli("plan", suite, "--results", folder, "--plugin", plugin, "--why")
    assert "it is stored with family 'filed_gumbel' of version 1+" in answer.out


def test_versions_of_a_file_lie_side_by_side_and_each_run_is_measured_with_its_own(cli, suite, plugin, folder):
    plugin.write_text(PLUGIN.replace("SCALE = 1.0", "SCALE = 2.0"))
    assert cli("run", suite, "--results", folder, "--plugin", plugin, "--engine", "test_inline").code == 0
    assert len(list((folder / "plugins").iterdir())) == 2
    assert len(rows(folder, family="filed_gumbel")) == 4
    plugin.unlink()
    answer = cli("evaluate", folder, "--evaluation", "sparsity", "--engine", "test_inline")
    assert (answer.code, "sparsity: 6 runs to measure" in answer.out + answer.err) == (0, True), answer
    priors = [
        float(latentbench.load(run, folder).model.family.prior_distribution(1).scale[0, 0]) for run in rows(folder, family="filed_gumbel")["run_id"]
    ]
    assert sorted(priors) == [1, 1, 2, 2]


def test_a_new_evaluation_measures_old_runs(cli, plugin, folder):
    """The file has an evaluation and a family: the runs are built with the old family, and measured by the new evaluation."""
    plugin.write_text(PLUGIN.replace("SCALE = 1.0", "SCALE = 2.0"))
    answer = cli("evaluate", folder, "--plugin", plugin, "--evaluation", "filed_scale", "--engine", "test_inline")
    assert answer.code == 0, answer
    assert scales(folder) == dict.fromkeys(rows(folder)["run_id"], 2.0)


@pytest.mark.slow
def test_a_worker_loads_the_copy(suite, plugin, folder, tmp_path):
    """Runs that another process has queued, whose plugin file this one was never told of."""
    from latentbench.execution.queue import enqueue
    from latentbench.runner import MISSING, planned
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch

    plan, *_ = planned(suite, folder, Launch("test_inline"), Changes(seeds=[3]), [plugin])
    enqueue(folder, "filed", [MISSING.job(item) for item in plan.runs], detached=True)
    plugin.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "latentbench", "worker", folder, "--cpus", "2"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(rows(folder, family="filed_gumbel", seed=3)["status"]) == ["done"]


def test_merged_folders_have_the_copies(cli, folder, tmp_path):
    assert cli("merge", folder, "--into", tmp_path / "merged").code == 0
    shutil.rmtree(folder)
    run = rows(tmp_path / "merged", family="filed_gumbel")["run_id"].iloc[0]
    assert latentbench.load(run, tmp_path / "merged").model.family.name == "filed_gumbel"


def test_a_copy_that_was_changed_is_refused_with_what_helps(cli, suite, plugin, folder):
    (copy,) = (folder / "plugins").iterdir()
    copy.write_text(PLUGIN.replace("SCALE = 1.0", "SCALE = 3.0"))
    for words in (["run", suite, "--plugin", plugin], ["evaluate", folder, "--evaluation", "sparsity", "--only", "family=filed_gumbel"]):
        answer = cli(*words, *(["--results", folder] if words[0] == "run" else []), "--engine", "test_inline")
        assert answer.code == 2
        assert f"{copy}: it was changed" in answer.err
        assert "remove it, and run with --plugin" in answer.err
    copy.unlink()
    assert cli("run", suite, "--results", folder, "--plugin", plugin, "--engine", "test_inline").code == 0
    assert copy.read_text() == PLUGIN


def test_a_copy_that_is_missing_is_named(folder):
    shutil.rmtree(folder / "plugins")
    run = rows(folder, family="filed_gumbel")["run_id"].iloc[0]
    with pytest.raises(
        latentbench.errors.UserError, match=r"family 'filed_gumbel' version 1\+\w+ comes from a plugin file, and .* has no copy of it"
    ):
        latentbench.load(run, folder)


def test_a_worker_without_the_copy_leaves_the_runs(cli, suite, plugin, folder):
    from latentbench.execution.queue import enqueue
    from latentbench.runner import MISSING, planned
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch

    plan, *_ = planned(suite, folder, Launch("test_inline"), Changes(seeds=[3], only={"family": ["filed_gumbel"]}), [plugin])
    enqueue(folder, "filed", [MISSING.job(item) for item in plan.runs], detached=True)
    shutil.rmtree(folder / "plugins")
    answer = cli("worker", folder, "--engine", "test_inline")
    assert (answer.code, "1 queued runs are left" in answer.err, "has no copy of it" in answer.err) == (2, True, True), answer


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.py", None, "--plugin {path}: there is no such file"),
        ("mine.txt", PLUGIN, "--plugin {path}: expected a Python file, NAME.py"),
        ("my-file.py", PLUGIN, "'my-file' is not the name of a Python module"),
        ("class.py", PLUGIN, "'class' is not the name of a Python module"),
        ("random.py", PLUGIN, "its name is that of the installed module 'random'"),
        ("latentbench_poisson.py", PLUGIN, "its name is that of the installed module 'latentbench_poisson'"),
        ("wrong.py", "def f(:\n", "--plugin {path}: line 1: invalid syntax"),
        ("wrong.py", "a\0b", "--plugin {path}: "),
        ("raises.py", "import nothing_of_this_name", "it cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("exits.py", "raise SystemExit(3)", "it cannot be imported: SystemExit: 3"),
        ("empty.py", "x = 1", "it registers nothing; the hooks are register_families"),
        ("unmarked.py", PLUGIN.replace("@hookimpl", ""), "register_families is not marked with @hookimpl"),
        ("clash.py", PLUGIN.replace("filed_gumbel", "gaussian"), "it registers the family 'gaussian', which plugin 'latentbench_gaussian' registers"),
        ("others.py", PLUGIN + "\nfrom latentbench_gaussian import Gaussian as GumbelFamily\n", "registers classes that it defines itself"),
    ],
)
def test_a_wrong_file_is_one_message(cli, suite, tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    answer = cli("run", suite, "--results", tmp_path / "r", "--plugin", path)
    assert (answer.code, answer.out) == (2, "")
    assert " ".join(message.format(path=path).split()) in answer.err
    assert not (tmp_path / "r").exists()


def test_two_files_may_not_register_one_name(cli, suite, plugin, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(PLUGIN)
    answer = cli("plan", suite, "--results", tmp_path / "r", "--plugin", plugin, "--plugin", other)
    assert answer.code == 2
    assert f"--plugin {other}: it registers the family 'filed_gumbel', which plugin 'mine-" in answer.err


def test_a_file_may_be_given_twice(ids, plugin):
    assert ids("--plugin", plugin) == ids()
