"""Networks that are wrong in one way are found by the check that names the fault; a correct one passes every check."""

import math

import pytest
import torch
from latentbench_networks.linear import Linear, LinearDecoder
from torch import nn

from latentbench.api import Network
from latentbench.testing import examine


class Right(Network):
    """Two layers each way, with dropout in the encoder."""

    name = "right"

    def encoder(self, assembly, features, options):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(assembly.data_shape), 16), nn.Dropout(0.2), nn.SiLU(), nn.Linear(16, features))

    def decoder(self, assembly, options):
        shape = assembly.decoded_shape
        return nn.Sequential(nn.Linear(assembly.latent_dim, 16), nn.SiLU(), nn.Linear(16, math.prod(shape)), nn.Unflatten(1, shape))


class Through(nn.Module):
    """What a function makes of another module's output."""

    def __init__(self, module, function):
        super().__init__()
        self.module, self.function = module, function

    def forward(self, x):
        return self.function(self.module(x))


class OneNumber(Right):
    """It ignores how many numbers a likelihood needs."""

    def decoder(self, assembly, options):
        shape = assembly.data_shape
        return nn.Sequential(nn.Linear(assembly.latent_dim, 16), nn.SiLU(), nn.Linear(16, math.prod(shape)), nn.Unflatten(1, shape))


class SaysLinear(Right):
    linear = True


class DoesNotSayLinear(Linear):
    linear = False


class Bent(LinearDecoder):
    def forward(self, z):
        return super().forward(z).tanh()


class BentLinear(Linear):
    def decoder(self, assembly, options):
        return Bent(assembly.latent_dim, assembly.decoded_shape, options)


class Scaled(LinearDecoder):
    def forward(self, z):
        return 2 * super().forward(z)


class ScaledLinear(Linear):
    def decoder(self, assembly, options):
        return Scaled(assembly.latent_dim, assembly.decoded_shape, options)


class BatchStatistics(Right):
    def encoder(self, assembly, features, options):
        return Through(super().encoder(assembly, features, options), lambda x: x - x.mean(0))


class Unused(Right):
    def encoder(self, assembly, features, options):
        module = super().encoder(assembly, features, options)
        module.unused = nn.Linear(2, 2)
        module.forward = nn.Sequential(*list(module)[:5]).forward
        return module


class Detached(Right):
    def decoder(self, assembly, options):
        module = super().decoder(assembly, options)
        module[1] = Through(module[1], lambda x: x.detach())
        return module


class GlobalNumpy(Right):
    def encoder(self, assembly, features, options):
        import numpy as np

        module = super().encoder(assembly, features, options)
        nn.init.constant_(module[1].bias, float(np.random.rand()))
        return module


class OwnSeed(Right):
    def encoder(self, assembly, features, options):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return super().encoder(assembly, features, options)


class NoisyAlways(Right):
    def encoder(self, assembly, features, options):
        return Through(super().encoder(assembly, features, options), lambda x: x + 0.1 * torch.randn_like(x))


class PlainTensor(Right):
    def encoder(self, assembly, features, options):
        shift = torch.randn(features, dtype=torch.float64)
        return Through(super().encoder(assembly, features, options), lambda x: x + shift.to(x))


class Exponential(Right):
    def decoder(self, assembly, options):
        return Through(super().decoder(assembly, options), lambda x: x.exp())


class Single(Right):
    def encoder(self, assembly, features, options):
        return Through(super().encoder(assembly, features, options), lambda x: x.double())


PLANTED = [
    (OneNumber, "shapes"),
    (Single, "shapes"),
    (SaysLinear, "linear"),
    (DoesNotSayLinear, "linear"),
    (BentLinear, "linear"),
    (ScaledLinear, "linear"),
    (BatchStatistics, "rows"),
    (Unused, "gradients"),
    (Detached, "gradients"),
    (GlobalNumpy, "randomness"),
    (OwnSeed, "randomness"),
    (NoisyAlways, "randomness"),
    (PlainTensor, "state"),
    (Exponential, "extremes"),
]


@pytest.mark.parametrize(("wrong", "check"), PLANTED, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_a_wrong_network_is_found_by_the_check_that_names_its_fault(wrong, check):
    report = examine(wrong, wrong.options_model(), only=[check])
    assert report.findings[0].status == "failed", report.text()


@pytest.mark.parametrize("right", [Right, Linear])
def test_a_right_network_passes_every_check(right):
    report = examine(right)
    assert report.ok, report.text()
