"""What sparse coders share: the schedule of lambda, optimality, and how a dictionary is trained."""

import numpy as np
import pytest
import torch

from latentbench.models.model import build_model
from latentbench.models.network import dictionary_of
from latentbench.models.objective import Step
from latentbench.models.sparse_coding import L1Schedule
from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError, assemble

SPARSE = ["lca", "ista"]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0.05:0.7:0.1", [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.7, 0.7]),
        ("0.1:0.1:0", [0.1, 0.1, 0.1]),
        ("1:0.5:-0.2", [1.0, 0.8, 0.6, 0.5, 0.5]),
        (0.3, [0.3, 0.3]),
    ],
)
def test_lambda_steps_to_its_end_and_is_clipped_there(schedule, expected):
    parsed = L1Schedule.parse(schedule)
    assert [parsed.at(n) for n in range(len(expected))] == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["0.1:1", "a:b:c", "0.1:1:0", "0.1:1:-0.1", "-1:1:0.1", ""])
def test_a_wrong_schedule_is_refused(schedule, make_run):
    with pytest.raises(Exception, match=r"a number, or a schedule start:end:step"):
        make_run(family="lca", family_options__l1_weight=schedule)


def test_lambda_rises_every_five_epochs(make_run, registry):
    run = make_run(family="lca", family_options__l1_weight="0.1:0.25:0.1").run
    family = build_model(assemble(run, registry), run.seed, "cpu", torch.float32).family
    seen = []
    for epoch in range(12):
        family.begin_epoch(epoch, 12)
        seen.append(float(family.l1))
    assert seen == pytest.approx([0.1] * 5 + [0.2] * 5 + [0.25] * 2)


def test_a_scaled_run_keeps_its_schedule_s_share(registry):
    from latentbench.suites.resolve import resolve

    settings = {"family": "lca", "dataset": "digits", "decoder": "linear", "seed": 1, "training.epochs": 100, "family_options.l1_weight": "0.1:1:0.1"}
    run = resolve(settings, registry, "cpu", scale=0.1).run
    assert (run.training["epochs"], run.family_options["l1_every"]) == (10, 0.5)


@pytest.mark.parametrize("family", SPARSE)
def test_the_dictionary_descends_half_the_squared_error_at_the_inferred_code(family, make_run, registry):
    """The gradient is that of the mean of 1/2 |x - Phi z|^2 with z held: -(x - Phi z) z' / B."""
    run = make_run(family=family, dtype="float64", family_options__iterations=30).run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float64)
    model.family.constrain(model.decoder)
    images = torch.rand(7, 1, 8, 8, dtype=torch.float64, generator=stream(2))
    code = model.encode(images, stream(0))
    loss = model.loss(Step(images, code, model.family, model.decoder, model.likelihood, 1.0, 1.0, True, stream(3)))
    loss.surrogate.backward()
    phi, _ = dictionary_of(model.decoder)
    x, z = images.flatten(1), code.mean
    assert torch.allclose(phi.grad, -(x - z @ phi.detach().T).T @ z / 7)
    assert torch.allclose(loss.reported["squared_error"], (x - z @ phi.detach().T).square().sum(1))


@pytest.mark.parametrize("family", SPARSE)
def test_training_lowers_the_cost_and_keeps_columns_at_unit_norm(family, make_run, registry):
    from latentbench.files import cache_folder
    from latentbench.training.state import new_state
    from latentbench.training.train import train

    run = make_run(family=family, latent_dim=64, training__steps=60, family_options__iterations=60, family_options__l1_weight=0.2).run
    assembly = assemble(run, registry)
    data = assembly.dataset.load(cache_folder())
    model = build_model(assembly, run.seed, "cpu", torch.float32)
    state = new_state(model, run.train_settings, run.seed)

    def cost():
        images = data.validation.images
        code = model.encode(images, stream(0))
        return float(
            model.family.costs(images, code, code.mean, model.decoder(code.mean), model.likelihood, None)["sparse_coding_cost"].detach().mean()
        )

    before = cost()
    for _ in train(state, data.train, run):
        norms = dictionary_of(model.decoder)[0].detach().norm(dim=0)
        assert torch.allclose(norms, torch.ones(64), atol=1e-5)
    assert cost() < 0.8 * before


@pytest.mark.parametrize("family", SPARSE)
def test_sparse_coders_say_where_they_do_not_apply(family, make_run):
    with pytest.raises(InapplicableError, match="it infers codes from a dictionary, and the decoder is not linear"):
        make_run(family=family, decoder="mlp")
    with pytest.raises(InapplicableError, match="it minimises a squared error, and the likelihood 'bernoulli' has none"):
        make_run(family=family, dataset="digits_binary")


@pytest.mark.parametrize("family", SPARSE)
def test_codes_in_bfloat16_are_those_of_float32_up_to_its_precision(family, make_run, registry):
    """The dtype is part of the run; codes stay in float32, and products have eight bits: a few per cent of the code's norm."""
    codes, ids = {}, set()
    images = torch.rand(30, 1, 8, 8, generator=stream(2))
    for dtype in ("float32", "bfloat16"):
        run = make_run(family=family, latent_dim=32, dtype=dtype).run
        ids.add(run.id)
        model = build_model(assemble(run, registry), run.seed, "cpu", getattr(torch, dtype))
        model.family.constrain(model.decoder)
        codes[dtype] = model.encode(images, stream(0)).mean
    assert len(ids) == 2
    assert codes["bfloat16"].dtype == torch.float32
    assert not torch.equal(codes["bfloat16"], codes["float32"])
    assert float((codes["bfloat16"] - codes["float32"]).norm() / codes["float32"].norm()) < 0.1


@pytest.mark.parametrize("family", SPARSE)
def test_inference_sees_images_less_the_decoder_s_bias(family, make_run, registry):
    run = make_run(family=family, decoder_options__bias=True).run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32)
    model.family.constrain(model.decoder)
    torch.nn.init.constant_(model.decoder.bias, 0.4)
    assert not model.encode(torch.full((2, 1, 8, 8), 0.4), stream(0)).mean.any()


def test_costs_are_the_objective_and_its_parts(make_run, registry):
    run = make_run(family="ista", dtype="float64").run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float64)
    model.family.constrain(model.decoder)
    images = torch.rand(4, 1, 8, 8, dtype=torch.float64, generator=stream(2))
    code = model.encode(images, stream(0))
    costs = model.family.costs(images, code, code.mean, model.decoder(code.mean), model.likelihood, None)
    x, z, phi = (t.detach().numpy() for t in (images.flatten(1), code.mean, dictionary_of(model.decoder)[0]))
    assert np.allclose(costs["sparse_coding_cost"].detach().numpy(), 0.5 * ((x - z @ phi.T) ** 2).sum(1) + 0.1 * np.abs(z).sum(1))
