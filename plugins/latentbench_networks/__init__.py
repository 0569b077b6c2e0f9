"""Networks: `linear`."""

from latentbench import hookimpl
from latentbench.network import Network
from latentbench_networks.linear import Linear


@hookimpl
def register_networks() -> list[type[Network]]:
    """Register `linear`."""
    return [Linear]
