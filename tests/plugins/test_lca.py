"""`lca` with both backends: our solver and lca-pytorch's."""

import sys
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec

import pytest
import torch

from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError, assemble

LCAPT = ["stand-in", *(["installed"] if find_spec("lcapt") else [])]
"""lca-pytorch: its stand-in, and where it is installed the real one."""


@contextmanager
def imported_from(folder, patch):
    """Import `lcapt` from a folder, whatever is installed, and forget it afterwards."""
    patch.syspath_prepend(folder)
    installed = _forget_lcapt()
    try:
        yield
    finally:
        _forget_lcapt()
        sys.modules.update(installed)


def _forget_lcapt():
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "lcapt"}


@pytest.fixture(params=LCAPT)
def lcapt(request, monkeypatch, root):
    stand_in = imported_from(root / "tests" / "third_party" / "lca_pytorch", monkeypatch)
    with stand_in if request.param == "stand-in" else nullcontext():
        yield


@pytest.fixture
def inferred(make_run, registry):
    """Codes of five images by a run's model, at its initial dictionary."""

    def infer(dtype=torch.float32, **options):
        run = make_run(
            family="lca", dtype=str(dtype).removeprefix("torch."), **{f"family_options__{name}": value for name, value in options.items()}
        ).run
        model = build_model(assemble(run, registry), run.seed, "cpu", dtype)
        model.family.constrain(model.decoder)
        images = torch.rand(5, 1, 8, 8, generator=stream(1))
        return model.encode(images.double() if dtype is torch.float64 else images, stream(0)).mean

    return infer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("iterations", [1, 2, 40, 900])
@pytest.mark.parametrize("non_negative", [True, False])
def test_both_backends_give_the_same_codes_after_the_same_iterations(lcapt, inferred, dtype, iterations, non_negative):
    options = {"iterations": iterations, "tau": 20.0, "l1_weight": 0.15, "non_negative": non_negative}
    ours, theirs = inferred(dtype, **options), inferred(dtype, backend="lcapt", **options)
    assert ours.dtype == theirs.dtype == dtype
    assert torch.allclose(ours, theirs, atol=1e-5 if dtype is torch.float32 else 1e-12)
    assert bool(ours.any()) == (iterations > 2)


def test_codes_of_lcapt_are_those_of_float32_in_a_run_in_bfloat16(lcapt, inferred):
    options = {"iterations": 40, "tau": 20.0, "backend": "lcapt"}
    assert torch.equal(inferred(torch.bfloat16, **options), inferred(torch.float32, **options))


def test_lcapt_leaves_nothing_behind(lcapt, inferred, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = torch.get_rng_state(), torch.backends.cudnn.benchmark
    inferred(backend="lcapt", iterations=5)
    assert not list(tmp_path.iterdir())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.backends.cudnn.benchmark == before[1]


def test_a_tolerance_means_nothing_to_lcapt(lcapt, make_run):
    ids = {
        backend: {make_run(family="lca", family_options__backend=backend, family_options__tolerance=t).run.id for t in (0.0, 0.1)}
        for backend in ("native", "lcapt")
    }
    assert (len(ids["native"]), len(ids["lcapt"])) == (2, 1)
    assert not ids["native"] & ids["lcapt"]


def test_an_lcapt_that_cannot_be_imported_is_refused_with_the_reason(make_run, tmp_path, monkeypatch):
    (tmp_path / "lcapt").mkdir()
    (tmp_path / "lcapt" / "lca.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    broken = pytest.raises(InapplicableError, match=r"lca-pytorch .* cannot be imported: RuntimeError: operator torchvision::nms does not exist")
    with imported_from(tmp_path, monkeypatch), broken:
        make_run(family="lca", family_options__backend="lcapt")


@pytest.mark.skipif("installed" in LCAPT, reason="lca-pytorch is installed")
def test_a_missing_lcapt_is_one_message_that_says_how_to_get_it(make_run):
    with pytest.raises(InapplicableError, match=r"lca-pytorch \(import name lcapt\) is not installed; pip install .*git\+https://"):
        make_run(family="lca", family_options__backend="lcapt")
