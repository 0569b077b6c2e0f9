"""Switches of torch are set on purpose, stored, and part of a run's identity where they change numbers."""

import json

import pandas as pd
import pytest
import torch

from latentbench.errors import UserError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.results.store import Store
from latentbench.suites.resolve import resolve
from tests.conftest import SETTINGS


@pytest.fixture
def careless():
    """Switches as a user's session may have left them, put back afterwards."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[1:]


def test_float32_means_float32_and_the_row_says_so(careless, make_run, registry, tmp_path):
    assert execute(Job(make_run(training__steps=2).run, ()), registry, Store(tmp_path / "r"), "cpu") is None
    stored = json.loads(pd.read_parquet(tmp_path / "r" / "runs")["numerics"][0])
    assert stored == {"threads": 1, "matmul_precision": "highest", "cudnn_tf32": False, "cudnn_benchmark": False, "deterministic": False}
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32


def test_tf32_is_a_precision_of_cuda_devices(registry):
    with pytest.raises(UserError, match="dtype: tf32 is a precision of CUDA devices"):
        resolve({**SETTINGS, "dtype": "tf32"}, registry, "cpu")
    tf32, float32 = (resolve({**SETTINGS, "dtype": dtype}, registry, "cuda").run for dtype in ("tf32", "float32"))
    assert tf32.id != float32.id


def test_the_switches_are_part_of_the_identity_of_cuda_runs_alone(registry):
    cpu, cuda = (resolve(SETTINGS, registry, device).run for device in ("cpu", "cuda"))
    assert cuda.plugins.keys() - cpu.plugins.keys() == {"numerics:cuda"}
