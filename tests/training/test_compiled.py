"""Whole losses that are compiled, as on CUDA: traced on the CPU, where their operations are executed one by one."""

import pytest
import torch
from torch._dynamo.utils import counters

from latentbench.blocks import logarithm, relaxed_poisson
from latentbench.data.dataset import Split
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble
from latentbench.training import train as training
from latentbench.training.state import new_state

FAMILIES = ("poisson", "gaussian", "laplace", "categorical", "gaussian+relu")


@pytest.fixture
def made(make_run, registry, monkeypatch):
    """A run's model, images and description. As on CUDA, counts come from the kernel, whose sizes depend on no data, and logarithms from torch."""
    pytest.importorskip("triton")
    monkeypatch.setattr(logarithm, "uses_numpy", lambda x: False)
    monkeypatch.setattr(relaxed_poisson, "uses_kernel", lambda rate: True)
    torch._dynamo.reset()
    counters.clear()

    def make(**changes):
        run = make_run(training__batch_size=20, **changes).run
        model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
        return model, assemble(run, registry).dataset.load(cache_folder()).train, run

    yield make
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["mc", "exact", "hard_forward"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_loss_is_broken_by_its_draws_alone(family, estimator, made, registry):
    if estimator == "hard_forward" and not registry.family(family).relaxed:
        pytest.skip("its samples are no relaxation")
    model, data, _ = made(family=family, estimator=estimator)
    arguments = (0.5, 1.0, 0.3, True, stream(1))
    training._loss(model, data.images[:20], *arguments)  # the first batch
    found = torch._dynamo.explain(training._loss)(model, data.images[:20], *arguments)
    assert all("Generator" in str(reason.reason) for reason in found.break_reasons), [reason.reason for reason in found.break_reasons]
    # A draw breaks every function between it and the loss: five from `hard_forward` to Gumbel noise.
    assert found.graph_break_count <= (0 if estimator == "exact" else 5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["poisson", "gaussian", "categorical"])
def test_settled_losses_train_as_others_and_are_not_compiled_over_and_over(family, made, monkeypatch):
    """The compiled operations are the same, so the numbers are. n_exp changes at every epoch, of which there are six, and compiles once more."""
    results, graphs = [], []
    for compiled in (False, True):
        monkeypatch.setattr(training, "_compiles_losses", lambda run, device, compiled=compiled: compiled)
        monkeypatch.setattr(training, "_compiled", lambda: torch.compile(training._loss, backend="eager"))
        model, data, run = made(family=family, training__steps=30, training__temperature_portion=0.1, training__beta_anneal=0.1)
        state = new_state(model, run.train_settings, run.seed)
        for _ in training.train(state, Split(data.images[:100]), run):
            graphs.append(counters["stats"]["unique_graphs"])
        results.append(state.tensors())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert graphs[:32] == [0] * 32  # all of the first run, the first batch and the annealing of the second
    assert 0 < graphs[-1] <= 8
    assert "Dynamo recompile limit exceeded" not in str(counters["unimplemented"])
