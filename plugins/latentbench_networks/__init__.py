"""Networks: `linear`, `conv` and `mlp`."""

from latentbench import hookimpl
from latentbench.api import Network
from latentbench_networks.conv import Conv
from latentbench_networks.linear import Linear
from latentbench_networks.mlp import Mlp


@hookimpl
def register_networks() -> list[type[Network]]:
    """Register all three."""
    return [Linear, Conv, Mlp]
