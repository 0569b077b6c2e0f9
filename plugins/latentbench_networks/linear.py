"""Linear encoders and decoders (the paper's <lin|lin>, appendix C.2)."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor, nn

from latentbench.api import Assembly, Network, Options

LINEAR_STD, NONLINEAR_STD = 0.05, 0.1


class LinearOptions(Options):
    """Options of `linear`."""

    bias: bool = Field(False, description="Whether the layer has a bias; the paper's linear layers have none.")
    init_std: float | None = Field(None, gt=0, description="Standard deviation of initial weights; .05, or .1 in an encoder beside another decoder.")


def encoder_head(inputs: int, features: int, options: LinearOptions, linear_decoder: bool) -> nn.Linear:
    """The layer that gives a posterior's parameters: Normal(0, .05) weights beside a linear decoder, else Normal(0, .1); bias 0."""
    layer = nn.Linear(inputs, features, bias=options.bias)
    nn.init.normal_(layer.weight, std=options.init_std or (LINEAR_STD if linear_decoder else NONLINEAR_STD))
    if options.bias:
        nn.init.zeros_(layer.bias)
    return layer


class LinearDecoder(nn.Linear):
    """z [B, K] -> Phi z + b as [B, *decoded_shape]; `weight` is the dictionary Phi [M, K]."""

    def __init__(self, latent_dim: int, decoded_shape: tuple[int, ...], options: LinearOptions) -> None:
        super().__init__(latent_dim, math.prod(decoded_shape), bias=options.bias)
        self.decoded_shape = decoded_shape
        nn.init.normal_(self.weight, std=options.init_std or LINEAR_STD)
        if options.bias:
            nn.init.zeros_(self.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Decode."""
        return super().forward(z).view(-1, *self.decoded_shape)


class Linear(Network):
    """One linear layer each way, without bias unless asked for."""

    name = "linear"
    options_model = LinearOptions
    linear = True

    def encoder(self, assembly: Assembly, features: int, options: Options) -> nn.Module:
        """Flatten, then one layer."""
        assert isinstance(options, LinearOptions)
        return nn.Sequential(nn.Flatten(), encoder_head(math.prod(assembly.data_shape), features, options, assembly.linear_decoder))

    def decoder(self, assembly: Assembly, options: Options) -> nn.Module:
        """One layer, its weights the dictionary."""
        assert isinstance(options, LinearOptions)
        return LinearDecoder(assembly.latent_dim, assembly.decoded_shape, options)
