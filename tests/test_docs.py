"""The documentation names what there is."""

import re

import pluggy
import pytest
from typer.main import get_command

from latentbench import hookspecs
from latentbench.cli.app import app
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.execution.progress import Progress
from latentbench.execution.work import Work
from latentbench.part import Options
from latentbench.registry import KINDS
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.suites.asked_evaluation import asked_for
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import make_plan
from latentbench.suites.settings import Settings, Training
from latentbench.suites.suite import load_suite
from latentbench.suites.sweep import NESTED, EvaluationSpec
from tests.docs.blocks import blocks, pages


@pytest.fixture(scope="module")
def written(root):
    """What README, CONTRIBUTING and the pages of the site say; what is generated from the code is not there."""
    return "\n".join(path.read_text() for path in pages(root))


@pytest.fixture(scope="module")
def block(root):
    """The block of a language that holds a text; there is one in the whole documentation, but for the same one again."""

    def find(language, holds):
        (text,) = {block.text for page in pages(root) for block in blocks(page) if block.language == language and holds in block.text}
        return text

    return find


def test_every_hook_is_documented(written):
    manager = pluggy.PluginManager("latentbench")
    manager.add_hookspecs(hookspecs)
    hooks = [name for name in dir(manager.hook) if name.startswith("register_")]
    assert set(hooks) == {f"register_{kind}" for kind in KINDS}
    assert all(f"`{hook}`" in written for hook in hooks)


def test_every_command_and_flag_is_documented(written):
    commands = get_command(app).commands
    for name, command in commands.items():
        assert f"latentbench {name}" in written, name
        flags = [flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")]
        assert all(f"`{flag}" in written or f" {flag}" in written for flag in flags if flag != "--help"), (name, flags)


def test_every_setting_is_documented(written):
    names = [*(name for name in Settings.model_fields if name not in NESTED), *NESTED, *Training.model_fields]
    missing = [name for name in names if f"`{name}`" not in written]
    assert not missing


def test_every_part_is_documented(written, registry):
    ours = [part.name for part, plugin in registry.providers.items() if plugin != "latentbench_testkit"]
    assert not [name for name in ours if f"`{name}`" not in written]


def test_readme_is_one_page_with_a_suite_and_a_plugin(root):
    text = (root / "README.md").read_text()
    assert len(text.splitlines()) < 150
    assert {block.language for block in blocks(root / "README.md")} >= {"yaml", "python"}
    assert [link for link in re.findall(r"\]\(([^)#:]+)", text) if not (root / link).exists()] == []


def test_every_suite_that_we_ship_can_be_planned(root, registry):
    suites = sorted((root / "suites").glob("*.yaml"))
    assert suites
    for path in suites:
        assert make_plan(load_suite(path), registry, "cpu").runs, path


def test_the_plugin_in_the_readme_works(block):
    import types

    from latentbench.registry import build_registry

    module = types.ModuleType("latentbench_gumbel")
    exec(block("python", "class GumbelFamily"), module.__dict__)
    assert list(build_registry([("latentbench_gumbel", module)]).parts["families"]) == ["gumbel"]


def test_the_engine_of_the_documentation_works(block, tmp_path, make_run, registry):
    names = {}
    exec(block("python", "class Inline(Engine)"), names)
    engine = names["Inline"](Options())
    jobs = [Job(make_run(seed=seed, training__steps=2).run, ()) for seed in (1, 2)]
    work = Work(tmp_path / "r", jobs, Progress().watch(jobs))
    engine.run(work)
    assert not work.left
    assert {row["status"] for row in Snapshot.read(Store(tmp_path / "r")).rows.values()} == {"done"}


def test_the_profile_of_the_documentation_is_one(block, tmp_path, registry):
    text = block("yaml", "engine:\n")
    (tmp_path / "p.yaml").write_text(text)
    engine = choose_engine(Launch(profile=str(tmp_path / "p.yaml")), None, registry)
    assert (engine.name, engine.device, engine.options.array, engine.options.per_gpu) == ("slurm", "cuda", 16, "auto")
    others = re.search(r"# also: (.*)", text)[1]
    assert {name.partition(":")[0] for name in re.findall(r"(\w+)(?=,|:|$)", re.sub(r"[\[{].*?[\]}]", "", others))} <= set(
        type(engine).options_model.model_fields
    )


def test_the_notebook_of_the_documentation_works(block, tmp_path, make_run, registry, monkeypatch):
    """On a folder of one run."""
    evaluation = asked_for(EvaluationSpec("elbo", {}, ""), registry).plan
    job = Job(make_run(training__steps=2).run, (evaluation,))
    assert execute(job, registry, Store(tmp_path / "results"), "cpu") is None
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block("python", "latentbench.open"), names)
    n = len(names["labels"])
    assert names["nelbo"]["mc"] == pytest.approx(float(names["codes"].costs["nelbo"].mean()), rel=1e-6)
    assert names["pictures"].shape == names["images"].shape == (n, 1, 8, 8)
    assert names["others"].mean.shape == (n, 6)
    board = names["folder"].compare("nelbo", rows=["family"], columns=["dataset"])
    assert len(board) == 1
