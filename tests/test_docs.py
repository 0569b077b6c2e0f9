"""The documentation names what there is."""

import re

import pluggy
import pytest
import yaml
from typer.main import get_command

from latentbench import hookspecs
from latentbench.cli.app import app
from latentbench.execution.job import Job
from latentbench.execution.progress import Progress
from latentbench.execution.work import Work
from latentbench.part import Options
from latentbench.registry import KINDS
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import make_plan
from latentbench.suites.settings import Settings, Training
from latentbench.suites.suite import NESTED, load_suite


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


@pytest.fixture(scope="module")
def contributing(root):
    return (root / "CONTRIBUTING.md").read_text()


def test_every_hook_is_documented(contributing):
    manager = pluggy.PluginManager("latentbench")
    manager.add_hookspecs(hookspecs)
    hooks = [name for name in dir(manager.hook) if name.startswith("register_")]
    assert set(hooks) == {f"register_{kind}" for kind in KINDS}
    assert all(f"`{hook}`" in contributing for hook in hooks)


def test_every_command_and_flag_is_documented(readme):
    commands = get_command(app).commands
    for name, command in commands.items():
        assert f"latentbench {name}" in readme, name
        flags = [flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")]
        assert all(f"`{flag}" in readme or f" {flag}" in readme for flag in flags if flag != "--help"), (name, flags)


def test_every_setting_is_documented(readme):
    names = [*(name for name in Settings.model_fields if name not in NESTED), *NESTED, *Training.model_fields]
    missing = [name for name in names if f"`{name}`" not in readme]
    assert not missing


def test_every_part_is_documented(readme, registry):
    ours = [part.name for part, plugin in registry.providers.items() if plugin != "latentbench_testkit"]
    assert not [name for name in ours if f"`{name}`" not in readme]


def test_the_suite_in_the_readme_can_be_planned(readme, suite_file, registry):
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "sweeps:" in block]
    assert yaml.safe_load(text)["name"]
    assert make_plan(load_suite(suite_file(text)), registry, "cpu").runs


def test_every_suite_that_we_ship_can_be_planned(root, registry):
    suites = sorted((root / "suites").glob("*.yaml"))
    assert suites
    for path in suites:
        assert make_plan(load_suite(path), registry, "cpu").runs, path


def test_the_plugin_in_contributing_works(contributing, tmp_path, make_run, monkeypatch):
    import types

    from latentbench.registry import build_registry

    (code,) = [block for block in re.findall(r"```python\n(.*?)```", contributing, re.DOTALL) if "register_families" in block]
    module = types.ModuleType("latentbench_gumbel")
    exec(code, module.__dict__)
    assert list(build_registry([("latentbench_gumbel", module)]).parts["families"]) == ["gumbel"]


def test_the_engine_in_contributing_works(contributing, tmp_path, make_run, registry):
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", contributing, re.DOTALL) if "(Engine)" in block]
    names = {}
    exec(code, names)
    engine = names["Inline"](Options())
    jobs = [Job(make_run(seed=seed, training__steps=2).run, ()) for seed in (1, 2)]
    work = Work(tmp_path / "r", jobs, Progress().watch(jobs))
    engine.run(work)
    assert not work.left
    assert {row["status"] for row in Snapshot.read(Store(tmp_path / "r")).rows.values()} == {"done"}


def test_the_profile_in_the_readme_is_one(readme, tmp_path, registry):
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if block.startswith("engine:")]
    (tmp_path / "p.yaml").write_text(text)
    engine = choose_engine(Launch(profile=str(tmp_path / "p.yaml")), None, registry)
    assert (engine.name, engine.device, engine.options.array, engine.options.per_gpu) == ("slurm", "cuda", 16, "auto")
    others = re.search(r"# also: (.*)", text)[1]
    assert {name.partition(":")[0] for name in re.findall(r"(\w+)(?=,|:|$)", re.sub(r"[\[{].*?[\]}]", "", others))} <= set(
        type(engine).options_model.model_fields
    )
