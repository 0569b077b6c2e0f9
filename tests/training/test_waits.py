"""No training step waits for the device: shown on `meta`, and on a GPU, where there is one, by CUDA's own alarm."""

import pytest
import torch
from latentbench_iterative.arrivals import StepArrivals

from latentbench.blocks import relaxed_poisson
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.suites.resolve import assemble
from latentbench.training.state import new_state
from latentbench.training.train import train
from tests.training.waits import META, NoNewTensors, NoWaits, WaitError, steps_without_numbers

SPARSE = {"estimator": None, "encoder": None, "family_options.iterations": 20}
ITERATIVE = {"estimator": None, "encoder": None, "family_options.steps": 3}
CLIPPED = {"training__grad_clip": 100.0}
HARD = {"estimator": "hard_forward", "estimator_options.from_start": True}
CHANGES = [
    {},
    {"family_options.truncate": False},
    {"family_options.relaxation": "cubic"},
    {"family_options.relaxation": "gumbel_softmax"},
    {"estimator": "straight_through"},
    {"estimator": "exact"},
    HARD,
    {"estimator": "score"},
    {"estimator": "score", "estimator_options.baseline": "none"},
    {"estimator": "score", "estimator_options.baseline": "trained"},
    {"estimator": "rloo"},
    {"estimator": "vargrad"},
    {"estimator": "vimco"},
    {"family": "gaussian"},
    {"family": "gaussian", "estimator": "iwae"},
    {"family": "gaussian", "training__optimizer": "adam"},
    {"family": "gaussian", "training__optimizer": "sgd", "training__learning_rate": 1e-4},
    {"family": "laplace"},
    {"family": "gaussian+relu"},
    {"family": "gaussian+exp"},
    {"family": "categorical"},
    {"family": "categorical", "estimator": "exact"},
    {"family": "categorical", **HARD},
    {"family": "categorical", "estimator": "reinmax"},
    {"family": "categorical", "estimator": "enumeration"},
    {"family": "bernoulli"},
    {"family": "gaussian", "family_options.learned_prior": True},
    {"family": "iterative_gaussian", **ITERATIVE},
    {"family": "iterative_gaussian+relu", **ITERATIVE},
    {"family": "lca", **SPARSE},
    {"encoder": "mlp", "decoder": "mlp"},
    {"encoder": "conv", "decoder": "conv"},
    {"family": "test_iterative", "estimator": None, "encoder": None},
    {"likelihood": "gaussian"},
    {"likelihood": "student_t"},
    {"likelihood": "bernoulli", "dataset": "digits_binary"},
    {"likelihood": "poisson", "dataset_options.scale": "count"},
    {"likelihood": "negative_binomial", "dataset_options.scale": "count"},
]
WAIT = {"ista", "lasso", "iterative_poisson"}
"""They ask the device for the largest eigenvalue of a Gram matrix, or for a duality gap, at every step; or for the largest rates after 1, 2, 4, ...
batches, and in the end every 200."""


def named(changes):
    return "-".join(map(str, changes.values())) or "poisson"


@pytest.mark.parametrize("changes", CHANGES, ids=named)
def test_a_step_waits_for_no_number(changes, make_run, registry, monkeypatch):
    state = steps_without_numbers(make_run(**CLIPPED, **changes), registry, monkeypatch)
    assert state.step == 4
    assert state.model.device == META


def test_iterative_poisson_waits_for_its_largest_rates_alone(make_run, registry, monkeypatch):
    monkeypatch.setattr(StepArrivals, "_refresh", lambda arrivals: None)
    assert steps_without_numbers(make_run(family="iterative_poisson", **ITERATIVE, **CLIPPED), registry, monkeypatch).step == 4


@pytest.mark.parametrize("changes", [{}, HARD], ids=named)
def test_a_step_with_the_kernel_waits_for_no_number(changes, make_run, registry, monkeypatch):
    """Its fake implementation has the shapes."""
    pytest.importorskip("triton")
    monkeypatch.setattr(relaxed_poisson, "uses_kernel", lambda rate: rate.device == META)
    steps_without_numbers(make_run(**changes), registry, monkeypatch)


def test_every_family_and_estimator_of_ours_is_tried(registry):
    for kind in ("families", "estimators", "networks", "likelihoods"):
        ours = {name for name in registry.parts[kind] if not name.startswith("test_")} - WAIT
        defaults = {"poisson", "mc", "linear"}
        assert ours <= defaults | {value for changes in CHANGES for value in changes.values() if isinstance(value, str)}, kind


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.max()),
        lambda x: 1 if x.sum() > 0 else 0,
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: torch.equal(x, x),
        torch.unique,
        lambda x: torch.repeat_interleave(x.long()),
        lambda x: torch.normal(x, x),
        torch.linalg.eigvalsh,
        lambda x: torch.tensor(1.0, device=x.device),
        lambda x: torch.as_tensor(1.0, device=x.device),
        lambda x: x + torch.ones(3).to(x.device),
        lambda x: x.copy_(torch.ones(3, 3)),
        lambda x: torch.distributions.Normal(x, 1.0, validate_args=True),
    ],
)
def test_what_waits_is_noticed(work):
    with NoWaits(), NoNewTensors(), pytest.raises((WaitError, RuntimeError)):  # `meta` refuses by NotImplementedError, a RuntimeError
        work(torch.ones(3, 3, device=META))


def test_what_does_not_wait_passes():
    with NoWaits(), NoNewTensors():
        x = torch.ones(3, 3, device=META)
        x.mul_(torch.tensor(2.0)).add_(1.5)  # a number of the host goes along as an argument
        torch.where(x > 0, x, torch.full_like(x, 0.5)).masked_fill_(x > 1, 0.0)
        torch.poisson(x, generator=torch.Generator())


@pytest.mark.cuda
@pytest.mark.parametrize("changes", CHANGES, ids=named)
def test_a_step_on_a_gpu_sets_off_no_alarm(changes, make_run, registry):
    run = make_run(**CLIPPED, **changes).run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cuda", torch.float32)
    loop = train(new_state(model, run.train_settings, run.seed), assembly.dataset.load(cache_folder()).train.to("cuda", torch.float32), run)
    next(loop)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            next(loop)
    finally:
        torch.cuda.set_sync_debug_mode("default")
