"""Training: resuming anywhere, pairing by seed, failures."""

import os
import sys

import pytest
import torch
from safetensors.torch import load, save

from latentbench.blocks import relaxed_poisson
from latentbench.blocks.arrivals_loop import every_arrival
from latentbench.errors import NonFiniteError, UserError
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.models.objective import Step
from latentbench.suites.resolve import assemble
from latentbench.suites.settings import Training
from latentbench.training.state import make_optimizer, new_state
from latentbench.training.train import plan_steps, train

STEPS = 120  # past one reading of the history, and past an epoch of 28 steps


@pytest.fixture
def begin(make_run, registry):
    """The state of a small run before its first step, its training images, and the run."""

    def start(**changes):
        run = make_run(**{"training__steps": STEPS, **changes}).run
        assembly = assemble(run, registry)
        model = build_model(assembly, run.seed, "cpu", getattr(torch, run.dtype))
        data = assembly.dataset.load(cache_folder()).train.to("cpu", model.dtype)
        return new_state(model, run.train_settings, run.seed), data, run

    return start


def finished(state, data, run):
    for _ in train(state, data, run):
        pass
    return state


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"family": "categorical"},
        {"family": "gaussian", "training__optimizer": "adam", "training__grad_clip": 10.0},
        {"family": "gaussian", "training__optimizer": "sgd", "training__learning_rate": 1e-4},
        {"family": "test_lca"},
        {"family": "test_gamma"},
        {"estimator": "test_reinforce"},
        {"encoder": "test_dropout"},
    ],
    ids=lambda c: "-".join(map(str, c.values())) or "poisson",
)
@pytest.mark.parametrize("stop", [1, 28, 49, 50, 51, 77])
def test_a_run_goes_on_bit_for_bit_from_any_step(begin, changes, stop):
    whole = finished(*begin(**changes))
    for state in train(*begin(**changes)):
        if state.step == stop:
            saved = save(state.tensors())
            break
    restored, *rest = begin(**changes)
    restored.load(load(saved))
    assert restored.step == stop
    finished(restored, *rest)
    assert same(restored.tensors(), whole.tensors())
    assert restored.history == whole.history


@pytest.mark.parametrize("stop", [1, 5])
@pytest.mark.parametrize("changes", [{}, {"estimator": "hard_forward", "estimator_options.from_start": True}], ids=["mc", "hard_forward"])
def test_a_run_with_the_kernel_goes_on_bit_for_bit(begin, changes, stop, monkeypatch):
    """The kernel's seeds come from the generator whose state is saved. Here Triton's interpreter runs it."""
    pytest.importorskip("triton")
    monkeypatch.setattr(relaxed_poisson, "uses_kernel", lambda rate: True)
    short = {"training__steps": 8, "training__batch_size": 20, **changes}
    whole = finished(*begin(**short))
    for state in train(*begin(**short)):
        if state.step == stop:
            saved = save(state.tensors())
            break
    restored, *rest = begin(**short)
    restored.load(load(saved))
    finished(restored, *rest)
    assert same(restored.tensors(), whole.tensors())
    assert restored.history == whole.history


def test_training_lowers_the_loss_and_records_it(begin):
    state = finished(*begin(training__steps=500, training__learning_rate=0.01, family="gaussian"))
    losses = [value for _, name, value in state.history if name == "reconstruction"]
    assert losses[-1] < 0.7 * losses[0]
    names = {name for _, name, _ in state.history}
    assert {"surrogate", "reconstruction", "kl", "gradient_norm", "learning_rate", "beta", "temperature"} <= names
    assert [step for step, name, _ in state.history if name == "kl"] == list(range(50, 501, 50))


class Batches(Exception):
    """Carries what the first steps saw."""


def seen(begin, monkeypatch, **changes):
    from latentbench.models.model import Model

    images = []
    original = Model.loss

    def spy(self, step: Step):
        images.append(step.images.clone())
        return original(self, step)

    monkeypatch.setattr(Model, "loss", spy)
    finished(*begin(training__steps=40, **changes))
    return torch.stack(images)


def test_two_families_with_one_seed_see_the_same_batches(begin, monkeypatch):
    one, other = seen(begin, monkeypatch, family="poisson"), seen(begin, monkeypatch, family="gaussian", estimator="exact")
    assert torch.equal(one, other)
    assert not torch.equal(one, seen(begin, monkeypatch, seed=2))


def test_an_epoch_shows_every_image_at_most_once(begin, monkeypatch):
    batches = seen(begin, monkeypatch)[:28].flatten(0, 1).flatten(1)
    distinct = torch.unique(batches, dim=0)
    assert len(distinct) == len(batches) == 1400


def test_runs_with_one_seed_share_initial_values(begin):
    models = [begin(family=family)[0].model for family in ("gaussian", "laplace", "poisson")]
    assert torch.equal(models[0].encoder[1].weight, models[1].encoder[1].weight)
    assert torch.equal(models[0].decoder.weight, models[2].decoder.weight)
    assert not torch.equal(models[0].decoder.weight, begin(seed=2)[0].model.decoder.weight)


def test_nothing_draws_from_the_global_state(begin):
    before = torch.get_rng_state()
    for family in ("poisson", "categorical", "test_gamma"):
        finished(*begin(family=family, training__steps=5))
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_not_finite_stops_the_run(begin):
    with pytest.raises(NonFiniteError, match=r"plugin 'latentbench_testkit': Diverging.posterior.*300 of 300 numbers are not finite"):
        finished(*begin(family="test_diverging"))  # in the first batch
    with pytest.raises(NonFiniteError, match=r"^\w+ was not finite between steps 1 and 50"):
        finished(*begin(training__learning_rate=1e30, training__schedule="constant", training__optimizer="sgd", training__warmup=0.0))


def test_what_a_network_draws_depends_on_the_seed_alone(begin):
    one = finished(*begin(encoder="test_dropout"))
    torch.rand(7)
    other = finished(*begin(encoder="test_dropout"))
    assert same(one.tensors(), other.tensors())


def test_a_diverging_run_is_non_finite_whatever_its_family_thinks_of_it(begin):
    with pytest.raises(NonFiniteError):
        finished(*begin(training__learning_rate=1e30, training__schedule="constant"))


def test_a_learned_baseline_is_trained_and_saved(begin):
    state, *rest = begin(estimator="test_reinforce")
    before = state.model.estimator.baseline[1].weight.clone()
    finished(state, *rest)
    assert not torch.equal(before, state.model.estimator.baseline[1].weight)
    assert "model.estimator.baseline.1.weight" in state.tensors()


def test_reinforce_learns_the_encoder(begin):
    """Its gradient reaches the encoder only through the score."""
    state, *rest = begin(estimator="test_reinforce")
    before = state.model.encoder[1].weight.clone()
    finished(state, *rest)
    assert float((state.model.encoder[1].weight - before).abs().max()) > 1e-3


def test_a_sparse_coder_trains_its_dictionary_and_keeps_its_columns_at_norm_one(begin):
    state = finished(*begin(family="test_lca", training__learning_rate=0.01))
    assert torch.allclose(state.model.decoder.weight.norm(dim=0), torch.ones(6), atol=1e-5)
    errors = [value for _, name, value in state.history if name == "squared_error"]
    assert errors[-1] < errors[0]
    assert state.model.encoder is None


def test_the_gradient_is_clipped_to_the_limit(begin):
    state, data, run = begin(
        training__grad_clip=1e-3, training__optimizer="sgd", training__learning_rate=1.0, training__warmup=0.0, training__steps=1
    )
    before = [p.clone() for p in state.model.parameters()]
    finished(state, data, run)
    moved = torch.cat([(p - q).flatten() for p, q in zip(state.model.parameters(), before, strict=True)])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_the_optimizer_is_torch_s_adamax(begin):
    state, *_ = begin()
    optimizer = make_optimizer(state.model, state.model and begin()[2].train_settings)
    assert isinstance(optimizer, torch.optim.Adamax)
    assert optimizer.param_groups[0]["foreach"]


def test_foreach_adamax_is_adamax():
    """Twenty steps of made gradients, against the plain update of Kingma & Ba 2015 (Algorithm 2), in float64."""
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 4, generator=generator, dtype=torch.float64), torch.randn(5, generator=generator, dtype=torch.float64)]
    parameters = [torch.nn.Parameter(p.clone()) for p in start]
    optimizer = torch.optim.Adamax(parameters, lr=0.01, foreach=True)
    plain, m, u = [p.clone() for p in start], [torch.zeros_like(p) for p in start], [torch.zeros_like(p) for p in start]
    for t in range(1, 21):
        gradients = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in start]
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g.clone()
        optimizer.step()
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g
            u[i] = torch.maximum(0.999 * u[i], g.abs() + 1e-8)
            plain[i] = plain[i] - 0.01 / (1 - 0.9**t) * m[i] / u[i]
    assert all(torch.allclose(p, q, rtol=1e-12) for p, q in zip(parameters, plain, strict=True))


def test_a_step_reads_nothing_from_the_device(begin, monkeypatch):
    """After the first step no tensor is turned into a number until the history is read: on a GPU every such read would make the host wait."""
    steps = train(*begin(training__steps=49))
    next(steps)

    def refuse(self, *args):
        caller = sys._getframe(1).f_code.co_filename
        if f"torch{os.sep}optim" in caller:  # the optimiser's step counters are on the CPU whatever the device
            return self.numpy()[()]
        raise AssertionError(f"a step read a tensor in {caller}")

    for name in ("item", "__float__", "__int__", "__bool__", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    # On the CPU the sampler may look at sizes; elsewhere it takes the loop, which does not.
    monkeypatch.setattr("latentbench.blocks.relaxed_poisson.arrivals_that_matter", every_arrival)
    for _ in range(20):  # within an epoch of 28 steps
        next(steps)


def test_bfloat16_keeps_parameters_and_losses_in_float32(begin, make_run):
    state = finished(*begin(dtype="bfloat16", family="gaussian", training__steps=200))
    exact = finished(*begin(family="gaussian", training__steps=200))
    assert {p.dtype for p in state.model.parameters()} == {torch.float32}
    assert make_run(dtype="bfloat16").run.id != make_run().run.id
    last, other = ([value for _, name, value in s.history if name == "reconstruction"][-1] for s in (state, exact))
    assert last != other
    assert last == pytest.approx(other, rel=0.05)


@pytest.mark.slow
def test_compiled_networks_train_alike(begin, make_run, registry):
    run = make_run(family="gaussian", compile=True, training__steps=20).run
    assert run.id != make_run(family="gaussian", training__steps=20).run.id
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32, compiled=True)
    data = assembly.dataset.load(cache_folder()).train
    compiled = finished(new_state(model, run.train_settings, run.seed), data, run)
    plain = finished(*begin(family="gaussian", training__steps=20))
    one, other = compiled.model.state_dict(), plain.model.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


def test_steps_and_batches(make_run):
    training = make_run(training__steps=None, training__epochs=2.5).run.train_settings
    assert plan_steps(training, 1437) == (50, 28, 70)
    assert plan_steps(training, 10) == (10, 1, 2)


def test_a_warm_up_is_compared_with_the_run_when_the_number_of_images_is_known():
    training = Training(steps=100, batch_size=50, warmup="5 epochs")
    with pytest.raises(UserError, match=r"a warm-up of 5 epochs, 140 steps, takes the whole run of 100 steps"):
        plan_steps(training, 1437)
    assert plan_steps(training, 500) == (50, 10, 100)
