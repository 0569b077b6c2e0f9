"""Layers of the paper's convolutional networks (appendix C.2, after NVAE; the authors' code where the paper is silent)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = torch.finfo(torch.float32).eps
DROPOUT = 0.1
ActivationName = Literal["swish", "leaky_relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"swish": nn.SiLU, "leaky_relu": nn.LeakyReLU}
"""Those that the paper tried (appendix C.2): x sigmoid(x), and max(x, x/100), torch's slope, as the paper names none."""


class NormedConv(nn.Conv2d):
    """A convolution with weights e^g v / |v|, the norm over all but the output channel; g is trained, and 0 at first."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)
        self.log_norm = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H', W']."""
        norm = torch.linalg.vector_norm(self.weight, dim=(1, 2, 3), keepdim=True)
        weight = self.weight * (self.log_norm.exp().view(-1, 1, 1, 1) / (norm + NORM_EPS))
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class SqueezeExcite(nn.Module):
    """Scales channels by numbers in [0, 1] made of their spatial means (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        scale: Tensor = self.gate(x.mean((2, 3)))[:, :, None, None]
        return x * scale


class ShiftedDown(nn.Module):
    """Half the size without losing pixels: 1x1 convolutions of stride 2 on the image and on three shifts of it, a quarter of the outputs each."""

    def __init__(self, inputs: int, outputs: int, activation: ActivationName = "swish") -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()
        self.convs = nn.ModuleList(NormedConv(inputs, outputs // 4, 1, stride=2) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / 2, W / 2], for even H and W."""
        x = self.activation(x)
        shifts = (x, x[:, :, :, 1:], x[:, :, 1:, :], x[:, :, 1:, 1:])
        return torch.cat([conv(shifted) for conv, shifted in zip(self.convs, shifts, strict=True)], dim=1)


class Cell(nn.Module):
    """A residual cell: skip(x) + squeeze-and-excitation of layers(x), each layer an activation and a 3x3 convolution."""

    def __init__(self, skip: nn.Module, layers: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.skip, self.layers, self.gate = skip, layers, SqueezeExcite(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        result: Tensor = self.skip(x) + self.gate(self.layers(x))
        return result


def layer(inputs: int, outputs: int, activation: ActivationName, stride: int = 1) -> list[nn.Module]:
    """The activation, then a 3x3 convolution."""
    return [ACTIVATIONS[activation](), NormedConv(inputs, outputs, 3, stride, padding=1)]


def cell(channels: int, depth: int, activation: ActivationName = "swish") -> Cell:
    """A cell of `depth` layers that keeps size and channels."""
    layers = [module for _ in range(depth) for module in layer(channels, channels, activation)]
    return Cell(nn.Identity(), nn.Sequential(*layers), channels)


def down_cell(inputs: int, outputs: int, shifted: bool, activation: ActivationName = "swish") -> Cell:
    """An encoder's cell of two layers that halves the size; an odd size does not allow the `shifted` skip."""
    skip = ShiftedDown(inputs, outputs, activation) if shifted else nn.Sequential(ACTIVATIONS[activation](), NormedConv(inputs, outputs, 1, stride=2))
    return Cell(skip, nn.Sequential(*layer(inputs, outputs, activation, stride=2), *layer(outputs, outputs, activation)), outputs)


def up_cell(inputs: int, outputs: int, activation: ActivationName = "swish") -> Cell:
    """A decoder's cell of one layer that doubles the size."""
    skip = nn.Sequential(nn.Upsample(scale_factor=2), NormedConv(inputs, outputs, 1))
    layers = nn.Sequential(ACTIVATIONS[activation](), nn.Upsample(scale_factor=2), NormedConv(inputs, outputs, 3, padding=1))
    return Cell(skip, layers, outputs)


class LearnedPooling(nn.Module):
    """Spatial mean + a convolution as large as what is left of the image."""

    def __init__(self, channels: int, size: tuple[int, int], activation: ActivationName) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()
        self.conv = NormedConv(channels, channels, size)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C]."""
        pooled: Tensor = x.mean((2, 3)) + self.conv(self.activation(x)).flatten(1)
        return pooled


class ResidualDense(nn.Module):
    """LayerNorm(x + Linear(dropout(ReLU(Linear(x))))) with `expand` times as many hidden units."""

    def __init__(self, width: int, expand: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, expand * width), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(expand * width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] -> [B, D]."""
        result: Tensor = self.norm(x + self.layers(x))
        return result
