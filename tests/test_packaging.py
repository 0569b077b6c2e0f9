"""What is built and installed: the wheel made from the sdist finds every plugin from another directory, and is typed."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement


def needed(root):
    """What pyproject.toml says that is needed, to run and to test, by name."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    found = [Requirement(text) for text in [*project["dependencies"], *project["optional-dependencies"]["test"]]]
    return {requirement.name: requirement.specifier for requirement in found if requirement.name != "latentbench"}


@pytest.mark.parametrize(("name", "version", "why"), [("numpy", "1.26.4", "its newest pyarrow"), ("typer", "0.17.0", "its newest click")])
def test_versions_that_fail_beside_what_pip_gives_them_are_not_admitted(root, name, version, why):
    assert not needed(root)[name].contains(version), f"{name} {version} fails beside {why}"


def test_everything_needed_has_a_lower_bound(root):
    """`make test-lowest` tests these."""
    assert [name for name, versions in needed(root).items() if not any(one.operator == ">=" for one in versions)] == []


@pytest.mark.slow
def test_the_wheel_made_from_the_sdist_finds_every_plugin(root, tmp_path, registry):
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", root], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert list((tmp_path / "dist").glob("*.tar.gz"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    # The dependencies come from this environment; its own editable latentbench is not on the path, as its .pth is not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import latentbench, latentbench_poisson; print(latentbench.__file__); print(latentbench_poisson.__file__)"
    where = subprocess.run([python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True, env=environment).stdout.split()
    assert all(Path(path).is_relative_to(site) for path in where)
    assert (site / "latentbench" / "py.typed").is_file()
    listed = subprocess.run(
        [tmp_path / "venv" / "bin" / "latentbench", "list"], cwd=tmp_path, check=True, capture_output=True, text=True, env=environment
    )
    ours = {part.name for part, plugin in registry.providers.items() if plugin != "latentbench_testkit"}
    assert all(f"\n{name} " in listed.stdout for name in ours)
    assert "could not be loaded" not in listed.stdout
    assert not any(path.name == "tests" for path in site.iterdir())
