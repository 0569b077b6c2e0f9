"""What families say about the settings that they read, their bases' subclasses included."""

import types

import pytest
import torch
from torch.distributions import Gumbel

from latentbench import hookimpl
from latentbench.errors import UserError
from latentbench.models.family import AmortisedFamily
from latentbench.models.location_scale import LocationScaleFamily
from latentbench.models.torch_family import TorchFamily
from latentbench.registry import build_registry, load_registry
from latentbench.suites.resolve import resolve


def plain(base):
    """A family of `base`, complete as far as a plan needs it."""
    if base is TorchFamily:

        class Plain(TorchFamily):
            def posterior_distribution(self, features):
                return Gumbel(features, torch.ones_like(features))

            def prior_distribution(self, batch):
                return Gumbel(torch.zeros(batch, self.latent_dim), torch.ones(batch, self.latent_dim))

    elif base is LocationScaleFamily:

        class Plain(LocationScaleFamily):
            def distribution(self, loc, log_scale):
                raise NotImplementedError

    else:

        class Plain(AmortisedFamily):
            def posterior(self, features):
                raise NotImplementedError

            def prior(self, batch):
                raise NotImplementedError

    Plain.name = "plain"
    return Plain


@pytest.fixture(params=[AmortisedFamily, TorchFamily, LocationScaleFamily])
def families(request):
    """A plain family, a relaxed one derived from it, one derived from this that is not relaxed any more, and so on."""
    first = plain(request.param)
    relaxed = type("Relaxed", (first,), {"name": "relaxed", "relaxed": True, "ignores": frozenset({"training.weight_decay"})})
    return {
        "plain": first,
        "relaxed": relaxed,
        "heir": type("Heir", (relaxed,), {"name": "heir"}),
        "hard": type("Hard", (relaxed,), {"name": "hard", "relaxed": False}),
        "soft": type("Soft", (first,), {"name": "soft", "relaxed": True}),
    }


@pytest.fixture
def settled(families):
    """Resolve a run of one of the families."""
    module = types.ModuleType("latentbench_x")
    module.register_families = hookimpl(lambda: list(families.values()))
    registry = build_registry([*load_registry().modules.items(), ("latentbench_x", module)])

    def settle(name, **training):
        settings = {"family": name, "estimator": "mc", "dataset": "digits", "encoder": "linear", "decoder": "linear", "seed": 1, "training.steps": 5}
        return resolve({**settings, **{f"training.{key}": value for key, value in training.items()}}, registry, "cpu").run

    return settle


@pytest.mark.parametrize(("name", "reads"), [("plain", False), ("relaxed", True), ("heir", True), ("hard", False), ("soft", True)])
def test_a_family_reads_the_temperature_if_it_is_relaxed_whatever_its_base_is(settled, name, reads):
    ids = {settled(name, temperature_start=1.0, temperature_stop=stop).id for stop in (0.5, 0.1)}
    assert len(ids) == (2 if reads else 1)
    training = settled(name, temperature_start=1.0, temperature_stop=0.1).training
    assert ("temperature_stop" in training) == reads
    assert ("weight_decay" in training) == (name in ("plain", "soft"))


@pytest.mark.parametrize("name", ["relaxed", "heir", "soft"])
def test_a_relaxed_family_needs_a_temperature(settled, name):
    with pytest.raises(UserError, match=rf"training.temperature_start: is missing: family '{name}' samples at a temperature"):
        settled(name)
