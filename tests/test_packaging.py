"""What is built and installed: the wheel made from the sdist finds every plugin from another directory, and is typed."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


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
