"""Convolutional encoders and decoders (appendix C.2): the paper's for 16x16 and 28x28 images, the same construction for other sizes."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from latentbench.api import Assembly, Network, Options, added
from latentbench_networks.layers import ActivationName, LearnedPooling, NormedConv, ResidualDense, cell, down_cell, up_cell
from latentbench_networks.linear import LinearOptions, encoder_head

STEM = 32
"""Channels after the first layer."""
WIDEST = 256
"""Most channels."""
SMALLEST = 4
"""An encoder halves its image until no side is larger; the least side that an image may have."""
SEED = 2
"""Side of the map that a decoder starts from."""
EXPAND = 8
"""Hidden units of the encoder's dense layer, times its width."""


class ConvOptions(LinearOptions):
    """Options of `conv`."""

    bias: bool = Field(True, description="Whether the encoder's last layer has a bias; the paper's convolutional encoders have one.")
    activation: ActivationName = added("swish", neutral="swish", description="Of all convolutional layers; the paper tried both (appendix C.2).")


class ConvEncoder(nn.Sequential):
    """Images [B, C, H, W] -> features [B, features].

    A stem, a cell, then cells that halve the size and double the channels, each followed by one that keeps them; learned pooling; a residual dense
    layer; the layer of the posterior's parameters. Sizes that cannot be halved so often lose their border in the stem, and skips then take every
    second pixel.
    """

    def __init__(self, data_shape: tuple[int, ...], features: int, options: ConvOptions, linear_decoder: bool) -> None:
        maps, height, width = data_shape
        halvings = max(0, math.ceil(math.log2(max(height, width) / SMALLEST)))
        even = height % 2**halvings == 0 and width % 2**halvings == 0
        size = (height, width) if even else (height - 2, width - 2)
        channels, act = STEM, options.activation
        modules: list[nn.Module] = [NormedConv(maps, channels, 3, padding=1 if even else 0), cell(channels, 2, act)]
        for _ in range(halvings):
            wider = min(2 * channels, WIDEST)
            modules += [down_cell(channels, wider, even, act), cell(wider, 2, act)]
            size, channels = (math.ceil(size[0] / 2), math.ceil(size[1] / 2)), wider
        head = encoder_head(channels, features, options, linear_decoder)
        super().__init__(*modules, LearnedPooling(channels, size, act), ResidualDense(channels, EXPAND), head)


class ConvDecoder(nn.Module):
    """Codes [B, K] -> images [B, C, H, W].

    A linear layer to 256 maps of 2x2, a cell, then cells that double the size and halve the channels, each followed by one that keeps them.
    Before the last doubling the maps are resized (to the nearest) to half of the image where they are not that.
    """

    def __init__(self, latent_dim: int, decoded_shape: tuple[int, ...], activation: ActivationName = "swish") -> None:
        super().__init__()
        maps, self.height, self.width = decoded_shape
        doublings = math.ceil(math.log2(max(self.height, self.width) / SEED))
        self.first = nn.Linear(latent_dim, WIDEST * SEED**2)
        self.cells = nn.ModuleList([cell(WIDEST, 1, activation)])
        channels = WIDEST
        for _ in range(doublings):
            narrower = max(channels // 2, 8)
            self.cells.append(nn.Sequential(up_cell(channels, narrower, activation), cell(narrower, 1, activation)))
            channels = narrower
        self.last = NormedConv(channels, maps, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Decode."""
        x = self.first(z).view(-1, WIDEST, SEED, SEED)
        for stage in self.cells[:-1]:
            x = stage(x)
        half = (math.ceil(self.height / 2), math.ceil(self.width / 2))
        x = self.cells[-1](x if x.shape[2:] == half else F.interpolate(x, half))
        image: Tensor = self.last(x)[:, :, : self.height, : self.width]
        return image


class Conv(Network):
    """Residual convolutional networks with squeeze-and-excitation and weight normalisation, as in the paper."""

    name = "conv"
    options_model = ConvOptions

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Vectors and tiny images leave nothing to convolve."""
        if len(assembly.data_shape) != 3:
            return f"it is for images, and items of '{assembly.dataset.name}' have the shape {list(assembly.data_shape)}"
        _, height, width = assembly.data_shape
        return None if min(height, width) > SMALLEST else f"images of {height}x{width} pixels are too small, each side must be over {SMALLEST}"

    def encoder(self, assembly: Assembly, features: int, options: Options) -> nn.Module:
        """The encoder for the image size."""
        assert isinstance(options, ConvOptions)
        return ConvEncoder(assembly.data_shape, features, options, assembly.linear_decoder)

    def decoder(self, assembly: Assembly, options: Options) -> nn.Module:
        """The decoder for the image size."""
        assert isinstance(options, ConvOptions)
        return ConvDecoder(assembly.latent_dim, assembly.decoded_shape, options.activation)
