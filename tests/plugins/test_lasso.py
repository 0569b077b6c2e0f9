"""`lasso`: its certificate is stored, and what cannot be certified is refused."""

import pytest
import torch

from latentbench.errors import UserError
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

SETTINGS = {"family": "lasso", "family_options__solver": "fista"}


def built(run, registry, dtype):
    model = build_model(assemble(run, registry), run.seed, "cpu", dtype)
    model.family.constrain(model.decoder)
    return model, torch.rand(20, 1, 8, 8, generator=stream(2), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_the_certificate_is_a_cost_within_the_tolerance(make_run, registry, dtype, bias):
    run = make_run(**SETTINGS, dtype=str(dtype).removeprefix("torch."), decoder_options__bias=bias).run
    model, images = built(run, registry, dtype)
    with torch.no_grad():
        code = model.encode(images, stream(0))
        decoded = model.decoder(code.mean)
        costs = model.family.costs(images, code, code.mean, decoded, model.likelihood, None)
    target = images.flatten(1) - (model.decoder.bias if bias else 0)
    assert (costs["duality_gap"] <= 1e-5 * 0.5 * target.square().sum(1) * 1.01).all()
    assert float(costs["duality_gap"].max()) > 0
    assert float(costs["kkt_residual"].max()) < 0.05


def test_a_tolerance_that_float32_cannot_meet_is_refused(make_run, registry):
    model, images = built(make_run(**SETTINGS, family_options__tolerance=1e-15).run, registry, torch.float32)
    with pytest.raises(UserError, match=r"lasso: the codes of \d+ of 20 images have duality gaps .* in float32 .* allowed by `tolerance` is 1e-15"):
        model.encode(images, stream(0))


@pytest.mark.parametrize("weight", [0.0, "0:0.5:0.1", "0.5:0:-0.1"])
def test_no_penalty_is_refused(make_run, weight):
    with pytest.raises(UserError, match="lasso needs an L1 weight above 0 throughout"):
        make_run(family="lasso", family_options__l1_weight=weight)
