"""Which device the next run goes to: a number of runs each, or, on GPUs, as many as their memory was seen to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

FILLED = 0.9
"""Share of a GPU's memory that is given to runs."""


@dataclass
class _Device:
    """Its runs, each with the bytes it needs (None: not yet known), the bytes it has, and how many runs it may have at most."""

    name: str
    most: int | None
    runs: dict[str, int | None] = field(default_factory=dict)
    capacity: int | None = None

    def has_memory(self, need: int | None) -> bool:
        """Whether one more run, of `need` bytes, fits as well. Nothing is packed together with a run of unknown need."""
        needs = [need, *self.runs.values()]
        known = [n for n in needs if n is not None]
        return not self.runs or (self.capacity is not None and len(known) == len(needs) and sum(known) <= FILLED * self.capacity)


class Packing:
    """Places for runs.

    Args:
        devices: `cpu`, or `cuda:N`.
        share: how many runs a device has at a time; None: the first run on a GPU is measured, then as many as fit, fewer after it ran out of memory.
    """

    def __init__(self, devices: Sequence[str], share: int | None) -> None:
        self.measures = share is None
        self.devices = {name: _Device(name, share) for name in devices}
        self.largest: int | None = None

    def room(self, need: int | None = None) -> str | None:
        """The device with the fewest runs of those that have room for one more, which is expected to need `need` bytes; None where none has."""
        need = need or self.largest
        free = [device for device in self.devices.values() if device.most is None or len(device.runs) < device.most]
        free = [device for device in free if not self.measures or device.has_memory(need)]
        return min(free, key=lambda device: len(device.runs)).name if free else None

    def enter(self, run_id: str, device: str, need: int | None = None) -> None:
        """A run begins on a device."""
        self.devices[device].runs[run_id] = need

    def leave(self, run_id: str) -> None:
        """A run's process has ended."""
        for device in self.devices.values():
            device.runs.pop(run_id, None)

    def measured(self, run_id: str, need: int, capacity: int) -> None:
        """A run was seen to need `need` bytes of its device, which has `capacity`."""
        self.largest = max(need, self.largest or 0)
        for device in self.devices.values():
            if run_id in device.runs:
                device.runs[run_id], device.capacity = need, capacity

    def back_off(self, run_id: str) -> bool:
        """A run has run out of memory: let its device have one run fewer. False if it was alone, so that nothing would help."""
        device = next(device for device in self.devices.values() if run_id in device.runs)
        if not self.measures or len(device.runs) < 2:
            return False
        device.most = len(device.runs) - 1
        return True
