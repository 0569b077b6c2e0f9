"""Networks: encoders and decoders by image size."""

from abc import ABC
from typing import ClassVar

from torch import Tensor, nn

from latentbench.part import Assembly, Options, Part


class Network(Part, ABC):
    """Base of all networks: a factory of encoders, of decoders, or both. Built inside a seeded fork of torch's global state, so initial
    values may be drawn from there.
    """

    linear: ClassVar[bool] = False
    """Whether its decoder is `LinearDecoder`-like: decoded = Phi z + b, with `weight` Phi [M, K] and `bias` [M] or None."""

    def encoder(self, assembly: Assembly, features: int, options: Options) -> nn.Module:
        """A module from items [B, *data_shape] to features [B, features]. Called once a run, where the suite names this network as encoder."""
        raise TypeError(f"network '{self.name}' has no encoder")

    def decoder(self, assembly: Assembly, options: Options) -> nn.Module:
        """A module from z [B, K] to what is decoded, [B, *decoded_shape]. Called once a run, where the suite names this network as decoder."""
        raise TypeError(f"network '{self.name}' has no decoder")


def dictionary_of(decoder: nn.Module) -> tuple[Tensor, Tensor]:
    """The dictionary Phi [M, K] and the bias b [M] (zeros where there is none) of a linear decoder.

    Raises:
        TypeError: the decoder has no `weight` [M, K].
    """
    weight = getattr(decoder, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2:
        raise TypeError(f"{type(decoder).__name__} is not a linear decoder: it needs `weight` [M, K] and `bias` [M] or None")
    bias = getattr(decoder, "bias", None)
    return weight, bias if isinstance(bias, Tensor) else weight.new_zeros(len(weight))
