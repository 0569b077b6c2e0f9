"""Training: resuming anywhere, pairing by seed, failures."""

import pytest
import torch
from safetensors.torch import load, save

from latentbench.cache import cache_folder
from latentbench.model import build_model
from latentbench.objective import Step
from latentbench.resolve import assemble
from latentbench.train import NonFiniteError, make_optimizer, new_state, plan_steps, train

STEPS = 120  # past one reading of the history, and past an epoch of 28 steps


@pytest.fixture
def begin(make_run, registry):
    """The state of a small run before its first step, its training images, and the run."""

    def start(**changes):
        run = make_run(**{"training__steps": STEPS, **changes}).run
        assembly, options = assemble(run, registry)
        dtype = getattr(torch, run.dtype)
        model = build_model(assembly, options, run.seed, "cpu", dtype)
        data = assembly.dataset().load(cache_folder()).train.to("cpu", dtype)
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
    from latentbench.model import Model

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
    with pytest.raises(NonFiniteError, match=r"not finite between steps 1 and 50"):
        finished(*begin(family="test_diverging"))


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


def test_steps_and_batches(make_run):
    training = make_run(training__steps=None, training__epochs=2.5).run.train_settings
    assert plan_steps(training, 1437) == (50, 28, 70)
    assert plan_steps(training, 10) == (10, 1, 2)
