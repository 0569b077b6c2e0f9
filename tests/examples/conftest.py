"""The example packages: importable here for their mathematics, and each installed into a fresh environment for its command line."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path[:0] = [str(folder) for folder in sorted(EXAMPLES.iterdir()) if folder.is_dir()]


@dataclass
class Environment:
    """A virtual environment with one example package in it, and latentbench and all else from this one."""

    python: Path
    package: Path
    variables: dict[str, str]

    @property
    def site(self):
        return next((self.python.parents[1] / "lib").glob("python*/site-packages"))

    def run(self, *words):
        """Call its Python, in a folder from which it imports nothing; what it printed."""
        done = subprocess.run(
            [self.python, *map(str, words)], cwd=self.python.parents[1], capture_output=True, text=True, env=self.variables, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def installed(tmp_path, root):
    """Install an example; its environment."""

    def install(name):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment = Environment(tmp_path / "venv" / "bin" / "python", EXAMPLES / f"latentbench-{name}", variables)
        paths = (sysconfig.get_path("purelib"), root, root / "plugins")  # the last two: an editable installation's own .pth is not read
        (environment.site / "dependencies.pth").write_text("\n".join(map(str, paths)))
        pip = [sys.executable, "-m", "pip", "--python", environment.python, "install", "--no-build-isolation", "--no-deps", "--no-index"]
        done = subprocess.run([*pip, environment.package], capture_output=True, text=True, env=variables, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return environment

    return install


@pytest.fixture
def leaderboard(tmp_path):
    """Run an installed example's suite, and compare; what was printed."""

    def run(environment):
        suite = environment.package / "suite.yaml"
        assert environment.run("-m", "latentbench", "run", suite, "--results", tmp_path / "results", "--cpus", 1)
        return environment.run("-m", "latentbench", "compare", tmp_path / "results", "--suite", suite)

    return run
