"""`latentbench new`: every kind's package is whole, clean, and works as it was written."""

import compileall
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy import integrate, stats

from latentbench import api
from latentbench.cli.new import KINDS as WORDS
from latentbench.data.dataset import load
from latentbench.engine import Limits
from latentbench.errors import UserError
from latentbench.execution.job import Job
from latentbench.execution.progress import Progress
from latentbench.execution.work import Work
from latentbench.plugin_files import with_files
from latentbench.registry import KINDS
from latentbench.scaffold.create import EXAMPLES, create

NAME = "made-here"
MODULE = "latentbench_made_here"
FILES = {
    *(".gitignore", "README.md", "pyproject.toml", "suite.yaml"),
    *(".github/workflows/ci.yml", f"{MODULE}.py", "tests/test_made_here.py"),
}


@pytest.fixture(scope="module", params=EXAMPLES)
def made(request, tmp_path_factory):
    """The kind, and its package."""
    return request.param, create(request.param, NAME, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def part(registry):
    """Make the part of a kind's package, and return its class."""

    def written(kind, folder):
        module = create(kind, NAME, folder) / f"{MODULE}.py"
        return with_files(registry, [module]).get(EXAMPLES[kind].kind, NAME)

    return written


def ruff(*words):
    return subprocess.run([sys.executable, "-m", "ruff", *words], capture_output=True, text=True, check=False)


def test_there_is_an_example_of_every_kind():
    assert {example.kind for example in EXAMPLES.values()} == set(KINDS)
    assert tuple(EXAMPLES) == WORDS


def test_a_package_is_whole(made):
    _, package = made
    assert package.name == f"latentbench-{NAME}"
    assert {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()} == FILES
    assert [path for path in package.parent.iterdir() if path != package] == []
    assert not [path for path in FILES if path != ".github/workflows/ci.yml" and "$" in (package / path).read_text()]


def test_it_is_valid_python_toml_and_yaml(made):
    _, package = made
    assert compileall.compile_dir(package, quiet=1)
    shutil.rmtree(package / "__pycache__")
    shutil.rmtree(package / "tests" / "__pycache__")
    project = tomllib.loads((package / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["latentbench"] == {MODULE: MODULE}
    steps = yaml.safe_load((package / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]["steps"]
    assert steps[1]["with"]["python-version"] == "${{ matrix.python }}"


def test_it_is_clean(made):
    pytest.importorskip("ruff", reason="ruff is in the extra `lint`")
    _, package = made
    checked, formatted = ruff("check", "--no-cache", package), ruff("format", "--no-cache", "--check", package)
    assert (checked.returncode, formatted.returncode) == (0, 0), checked.stdout + formatted.stdout


def test_its_part_registers_and_its_suite_runs_without_installing_it(made, cli, tmp_path):
    kind, package = made
    engine = NAME if kind == "engine" else "test_inline"
    words = ["--engine", engine, "--set", "training.steps=3", "--seeds", "1", "--limit-data", "0.2", "--results", tmp_path / "r"]
    answer = cli("run", package / "suite.yaml", "--plugin", package / f"{MODULE}.py", *words)
    assert answer.code == 0, answer.out + answer.err
    assert "no leaderboard" not in answer.out
    runs = pd.read_parquet(tmp_path / "r" / "runs")
    assert set(runs["status"]) == {"done"}
    used = [name for plugins in runs["plugins"] for name in json.loads(plugins)]
    if kind not in ("engine", "evaluation"):
        assert f":{NAME}" in " ".join(used)
    if kind == "evaluation":
        assert {NAME, "elbo"} == set(pd.read_parquet(tmp_path / "r" / "evaluations")["evaluation"])


def test_nothing_is_written_where_a_template_is_wrong(tmp_path, monkeypatch):
    from latentbench.scaffold import create as module

    shutil.copytree(module.TEMPLATES / "family", tmp_path / "templates" / "family")
    monkeypatch.setattr(module, "TEMPLATES", tmp_path / "templates")
    with pytest.raises(FileNotFoundError):
        create("family", NAME, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["templates"]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("family", "2nd", "'2nd' is not a name: a letter, then"),
        ("family", "a.b", "'a.b' is not a name"),
        ("family", "../x", "'../x' is not a name"),
        ("family", "x-", "'x-' is not a name"),
        ("family", "x" * 60, "is not a name"),
        ("family", "gaussian", "there is a family 'gaussian' already"),
        ("dataset", "digits", "there is a data set 'digits' already"),
        ("family", "datasets", "there is a module 'latentbench_datasets' already"),
        ("family", "torch", "'torch' would be the class TorchFamily, and the example uses another one of that name"),
        ("family", "taken", "latentbench-taken exists already"),
    ],
)
def test_a_wrong_name_is_one_message(cli, tmp_path, kind, name, message):
    (tmp_path / "latentbench-taken").mkdir()
    answer = cli("new", kind, name, "--folder", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["latentbench-taken"]


def test_a_name_that_starts_with_a_dash_is_no_name():
    with pytest.raises(UserError, match="'-x' is not a name"):
        create("family", "-x", None)


def test_a_folder_that_does_not_exist_is_named(cli, tmp_path):
    answer = cli("new", "family", NAME, "--folder", tmp_path / "none")
    assert (answer.code, "--folder: " in answer.err, "does not exist" in answer.err) == (2, True, True)


def test_the_command_says_what_to_do_next(cli, tmp_path):
    answer = cli("new", "family", "mine", "--folder", tmp_path)
    assert answer.code == 0
    assert f"latentbench run {tmp_path}/latentbench-mine/suite.yaml --plugin {tmp_path}/latentbench-mine/latentbench_mine.py" in answer.out


# The mathematics of the examples, against independent sources.


def test_the_family_has_the_moments_and_the_divergence_of_half_normals(part, tmp_path, make_run):
    family = part("family", tmp_path)
    built = family(make_run().assembly, family.options_model(prior_scale=1.5))
    q, p = (stats.halfnorm(scale=scale) for scale in (0.6, 1.5))
    raw = 5 * torch.atanh(torch.tensor(0.6).log() / 5)
    posterior = built.posterior(raw.expand(1, built.features))
    divergence = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), 0, 10)[0]
    found = [float(value[0, 0]) for value in (posterior.mean, posterior.variance, posterior.kl(torch.Generator()))]
    assert found == pytest.approx([q.mean(), q.var(), divergence], rel=1e-5)


def test_the_likelihood_is_normalised(part, tmp_path, make_run):
    likelihood = part("likelihood", tmp_path)
    built = likelihood(make_run().assembly, likelihood.options_model(scale=0.3))
    images, decoded = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert built.log_prob(images, decoded).numpy() == pytest.approx(stats.laplace(decoded, 0.3).logpdf(images).sum((1, 2, 3)), rel=1e-5)


def test_the_evaluation_measures_correlations(part, tmp_path):
    evaluation = part("evaluation", tmp_path)
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    z[:, 1] += z[:, 0]
    z = torch.cat([z, torch.ones(50, 1)], dim=1)  # the last does not vary

    class Stub:
        def codes(self, split):
            return self

        mean = z

    outcome = evaluation(evaluation.options_model()).evaluate(Stub(), torch.Generator())
    expected = np.abs(np.corrcoef(z[:, :3].numpy().T))[np.triu_indices(3, 1)].mean()
    assert {metric.name: metric.value for metric in outcome.metrics} == pytest.approx({"varying_latents": 3, "latent_correlation": expected})


def test_the_data_set_has_as_many_bars_as_its_labels_say(part, tmp_path):
    dataset = part("dataset", tmp_path)
    drawn = load(dataset(dataset.options_model(side=12, noise=0.01)), tmp_path).train
    bright = drawn.images[:, 0] > 0.5  # [N, side, side]
    bars = bright.all(1).sum(1) + bright.all(2).sum(1)
    few = bars < 4  # where all is bright, the rows may be bars or only crossed by bars
    assert (drawn.labels[few] == bars[few]).all()
    assert few.sum() > 1000


def test_the_engine_saves_the_state_of_a_run_that_is_interrupted(part, tmp_path, make_run):
    def interrupt(job, step, steps):
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)  # a background job has it ignored
    jobs = [Job(make_run(seed=seed).run, ()) for seed in (1, 2)]
    engine = part("engine", tmp_path)
    watcher = Progress().watch(jobs)
    watcher.progressed = interrupt
    work = Work(tmp_path / "r", jobs, watcher)
    with pytest.raises(KeyboardInterrupt):
        engine(engine.options_model()).run(work)
    assert [path.stem for path in (tmp_path / "r" / "states").iterdir()] == [jobs[0].run.id]
    assert not work.leases.busy()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_engine_stops_a_run_whose_time_is_up(part, tmp_path, make_run):
    jobs = [Job(make_run(seed=seed).run, ()) for seed in (1, 2)]
    engine = part("engine", tmp_path)
    work = Work(tmp_path / "r", jobs, Progress().watch(jobs), Limits(seconds=1e-9, fail_fast=True))
    engine(engine.options_model()).run(work)
    assert [work.store.state_of(job.run.id)[0] is None for job in jobs] == [False, True]
    assert work.store.state_of(jobs[0].run.id)[0]["failure_kind"] == "timeout"


# What the packages are for: installed, and tested by the kit.


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that has what this one has, and pip."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    # site.addsitedir reads the .pth files there too, and so finds an editable latentbench; a path alone would not.
    (site / "running.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder / "bin"


def called(*words, **options):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=900, env=environment, **options)


@pytest.fixture(scope="module", params=["family", "estimator", "evaluation", "dataset"])
def installed(request, environment, tmp_path_factory):
    """The kind, and its package, installed."""
    folder, python = tmp_path_factory.mktemp("installed"), environment / "python"
    made = called(python, "-m", "latentbench", "new", request.param, f"installed-{request.param}", "--folder", folder)
    assert made.returncode == 0, made.stdout + made.stderr
    package = folder / f"latentbench-installed-{request.param}"
    install = ["--python", python, "install", "--no-build-isolation", "--no-deps", "--no-index", package]
    done = called(sys.executable, "-m", "pip", *install)
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param, package


@pytest.mark.slow
def test_a_package_installs_and_its_suite_runs(installed, environment, tmp_path):
    kind, package = installed
    ran = called(environment / "python", "-m", "latentbench", "run", package / "suite.yaml", "--results", tmp_path / "r", "--cpus", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "n = 2 seeds" in ran.stdout
    assert f"\ninstalled-{kind} " in called(environment / "python", "-m", "latentbench", "list", EXAMPLES[kind].kind).stdout


@pytest.mark.slow
def test_the_tests_of_a_package_pass(installed, environment):
    kind, package = installed
    if not _has_kit(kind):
        pytest.skip(f"latentbench.testing has no checks of a {kind}")
    tested = called(environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=package)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _has_kit(kind):
    """Whether the conformance kit knows the kind."""
    try:
        from latentbench.testing import latentbench_checks
    except ImportError:
        return False
    bases = {"family": api.TorchFamily, "estimator": api.Estimator, "evaluation": api.Evaluation, "dataset": api.DataSet}
    try:
        latentbench_checks(bases[kind])
    except UserError:
        return False
    return True
