"""The kit's own parts, small and plain, which surround the part that is tried: images, networks, a likelihood, and assemblies of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from latentbench.data.dataset import DataSet, Split, Splits
from latentbench.models.likelihood import Likelihood
from latentbench.models.model import Model, build_model
from latentbench.models.network import Network
from latentbench.part import Assembly, Options
from latentbench.streams import stream
from latentbench.testing.law import Effort, InapplicableError

LATENT_DIM = 6
SIDE = 4
PIXELS = SIDE * SIDE


class KitImagesOptions(Options):
    """What the kit's images are."""

    images: int = 400
    pixels: Literal["real", "unit", "binary", "count"] = "real"
    shape: tuple[int, ...] = (1, SIDE, SIDE)


class KitImages(DataSet):
    """Images that are sums of a few fixed patterns, with noise; labelled by the strongest pattern. Of any shape and kind of number."""

    name = "kit_images"
    options_model = KitImagesOptions
    labelled = True
    has_test = True

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        assert isinstance(self.options, KitImagesOptions)
        self.size, self.pixels, self.data_shape = self.options.images, self.options.pixels, self.options.shape

    def load(self, cache: Path) -> Splits:
        """The three splits."""
        return Splits(*(self._split(name) for name in ("train", "validation", "test")))

    def _split(self, name: str) -> Split:
        generator, pixels = stream(0, "testing", "images", name), torch.Size(self.data_shape).numel()
        weights = -torch.rand(self.size, 4, generator=generator).log()
        images = weights @ self._patterns().T + 0.1 * torch.randn(self.size, pixels, generator=generator)
        kinds = {"real": images, "unit": images.sigmoid(), "binary": (images > 0).float(), "count": images.relu().round()}
        return Split(kinds[self.pixels].reshape(self.size, *self.data_shape), weights.argmax(1), weights if self.has_truth else None)

    def _patterns(self) -> Tensor:
        """What a weight of 1 adds to the pixels [M, 4]."""
        return 0.5 * torch.randn(4, torch.Size(self.data_shape).numel(), generator=stream(0, "testing", "patterns")).T


class KitKnownImages(KitImages):
    """The same with the weights and patterns that they are made of."""

    name = "kit_known_images"
    has_truth = True

    def load(self, cache: Path) -> Splits:
        """The three splits, and the patterns."""
        return replace(super().load(cache), dictionary=self._patterns())


class _Shaped(nn.Module):
    """Layers between flat vectors, as a module between shapes."""

    def __init__(self, layers: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers, self.shape = layers, shape

    def forward(self, x: Tensor) -> Tensor:
        """What the layers give for each item, in the shape."""
        made: Tensor = self.layers(x.flatten(1))
        return made.reshape(len(x), *self.shape)


class _Linear(nn.Linear):
    """Phi z + b in the shape of an image."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__(latent_dim, torch.Size(shape).numel())
        self.shape = shape

    def forward(self, input: Tensor) -> Tensor:  # the name is torch's
        """The decoded images [B, *shape]."""
        return super().forward(input).reshape(len(input), *self.shape)


class KitLinear(Network):
    """A linear encoder and a linear decoder."""

    name = "kit_linear"
    linear = True

    def encoder(self, assembly: Assembly, features: int, options: Options) -> nn.Module:
        """W x + b."""
        return _Shaped(nn.Linear(torch.Size(assembly.data_shape).numel(), features), (features,))

    def decoder(self, assembly: Assembly, options: Options) -> nn.Module:
        """Phi z + b."""
        return _Linear(assembly.latent_dim, assembly.decoded_shape)


class KitBent(KitLinear):
    """A decoder that is not linear."""

    name = "kit_bent"
    linear = False

    def decoder(self, assembly: Assembly, options: Options) -> nn.Module:
        """Two layers."""
        sizes = assembly.latent_dim, torch.Size(assembly.decoded_shape).numel()
        return _Shaped(nn.Sequential(nn.Linear(sizes[0], 12), nn.Tanh(), nn.Linear(12, sizes[1])), assembly.decoded_shape)


class KitSquared(Likelihood):
    """The squared error: a Gaussian of variance 1/2 in each pixel."""

    name = "kit_squared"

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.constant = 0.5 * torch.Size(assembly.data_shape).numel() * float(torch.log(torch.tensor(torch.pi)))

    @classmethod
    def is_quadratic(cls, options: Options) -> bool:
        """It is."""
        return True

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """|x - decoded|^2 [B]."""
        return (images - decoded).flatten(1).square().sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """What is decoded."""
        return decoded


SETTINGS = ("family", "estimator", "likelihood", "dataset", "encoder", "decoder")


def assembly(latent_dim: int = LATENT_DIM, options: dict[str, Options] | None = None, **parts: Any) -> Assembly:
    """An assembly of the given parts and, for what is not given, the kit's own; options that are not given are at their defaults.

    Raises:
        InapplicableError: a part says that it does not apply to it.
    """
    chosen = {"likelihood": KitSquared, "encoder": KitLinear, "decoder": KitLinear, "estimator": None, "dataset": KitImages(), **parts}
    given = options or {}
    models = {name: given.get(name, chosen[name].options_model()) for name in SETTINGS if chosen.get(name) is not None}
    made = Assembly(latent_dim=latent_dim, options=models, **chosen)
    for name in ("family", "likelihood", "decoder", "encoder", "estimator"):
        reason = chosen[name].inapplicable(made, models[name]) if chosen[name] is not None else None
        if reason:
            raise InapplicableError(f"{name} '{chosen[name].name}': {reason}")
    return made


def model(made: Assembly, effort: Effort, dtype: torch.dtype = torch.float64, seed: int = 1) -> Model:
    """The model of an assembly at initial values."""
    return build_model(made, seed, effort.device, dtype)


def images(made: Assembly, effort: Effort, dtype: torch.dtype = torch.float64) -> Tensor:
    """The training images of an assembly of the kit's own data set."""
    assert isinstance(made.dataset, DataSet)
    return made.dataset.load(Path()).train.images.to(effort.device, dtype)
