"""Fixtures: the registry with a third party's plugin beside our own, small runs, and the command line in this process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "third_party"))

from latentbench.data.dataset import Split, Splits
from latentbench.evaluation.trained import Trained
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.registry import load_registry
from latentbench.streams import stream
from latentbench.suites.resolve import assemble, resolve

ROOT = Path(__file__).parent.parent
torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels run on the CPU; Triton reads it when it is imported


@pytest.fixture(scope="session")
def registry():
    return load_registry()


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base  # prepared patches serve all workers
    patch.setenv("LATENTBENCH_CACHE", str(shared / "cache"))
    patch.setenv("PYTHONPATH", str(Path(__file__).parent / "third_party"))
    yield
    patch.undo()


SETTINGS = {
    "family": "poisson",
    "estimator": "mc",
    "dataset": "digits",
    "encoder": "linear",
    "decoder": "linear",
    "latent_dim": 6,
    "seed": 1,
    "training.steps": 20,
    "training.batch_size": 50,
}


@pytest.fixture(scope="session")
def make_run(registry):
    """A small run; keywords change its settings, `a__b` stands for `a.b`, and None leaves a setting out."""

    def make(**changes):
        settings = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
        return resolve({key: value for key, value in settings.items() if value is not None}, registry, "cpu")

    return make


@pytest.fixture
def drawn_model(make_run, registry):
    """A model in float64 whose decoder and likelihood have drawn parameters, so that posterior and prior differ, on a few digits."""

    def make(scale, images, **changes):
        run = make_run(**changes).run
        assembly = assemble(run, registry)
        model = build_model(assembly, run.seed, "cpu", torch.float64).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.startswith(("decoder", "likelihood")):
                    value.copy_(scale * torch.randn(value.shape, generator=stream(1, name), dtype=torch.float64))
        data = assembly.dataset.load(cache_folder())
        return Trained(model, Splits(data.train, Split(data.validation.images[:images], data.validation.labels[:images])), run.seed)

    return make


@dataclass
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    """Call the command line in this process."""
    from latentbench.__main__ import main

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["latentbench", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return Answer(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def suite_file(tmp_path):
    """Write a suite file."""

    def write(text, name="suite.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def disk(tmp_path):
    """Make a small file system of its own, where this may be done."""
    from tests.kit import Disk

    made = []

    def make(kilobytes):
        try:
            made.append(Disk(tmp_path / f"disk{len(made)}", kilobytes))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"cannot mount a tmpfs: {error}")
        return made[-1]

    yield make
    for one in made:
        one.unmount()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run slow tests too")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "cuda" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))
    if config.getoption("--slow"):
        return
    for item in items:
        if {"slow", "slurm", "browser"} & set(item.keywords):
            item.add_marker(pytest.mark.skip(reason="slow: give --slow"))
