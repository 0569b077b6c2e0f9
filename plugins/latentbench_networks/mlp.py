"""Multilayer perceptrons (in the authors' code, not in the paper)."""

from __future__ import annotations

import math

from pydantic import Field
from torch import nn

from latentbench.api import Assembly, Network, Options
from latentbench_networks.layers import ResidualDense
from latentbench_networks.linear import LinearOptions, encoder_head

ENCODER_EXPAND, DECODER_EXPAND = 16, 8


class MlpOptions(LinearOptions):
    """Options of `mlp`."""

    bias: bool = Field(True, description="Whether the encoder's last layer has a bias.")
    expand: int | None = Field(None, gt=0, description="Hidden units of the residual dense layer, times its width; 16 in an encoder, 8 in a decoder.")


class MlpDecoder(nn.Sequential):
    """Codes [B, K] -> what is decoded, [B, *decoded_shape]."""

    def __init__(self, latent_dim: int, decoded_shape: tuple[int, ...], expand: int) -> None:
        pixels = math.prod(decoded_shape)
        dense = ResidualDense(pixels, expand)
        super().__init__(nn.Linear(latent_dim, pixels), nn.SiLU(), dense, nn.SiLU(), nn.Linear(pixels, pixels), nn.Unflatten(1, decoded_shape))


class Mlp(Network):
    """A residual dense layer on the pixels each way."""

    name = "mlp"
    options_model = MlpOptions

    def encoder(self, assembly: Assembly, features: int, options: Options) -> nn.Module:
        """Flat pixels, a residual dense layer, the layer of the posterior's parameters."""
        assert isinstance(options, MlpOptions)
        pixels = math.prod(assembly.data_shape)
        dense = ResidualDense(pixels, options.expand or ENCODER_EXPAND)
        return nn.Sequential(nn.Flatten(), dense, encoder_head(pixels, features, options, assembly.linear_decoder))

    def decoder(self, assembly: Assembly, options: Options) -> nn.Module:
        """A linear layer to pixels, a residual dense layer, a linear layer, SiLU between them."""
        assert isinstance(options, MlpOptions)
        return MlpDecoder(assembly.latent_dim, assembly.decoded_shape, options.expand or DECODER_EXPAND)
