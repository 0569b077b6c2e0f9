"""What plugins return, held against what their contracts promise: the messages name the plugin, the method, what came and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from latentbench.errors import NonFiniteError, UserError


def origin(part: object) -> str:
    """The plugin and the class of a part, or of an instance of one."""
    cls = part if isinstance(part, type) else type(part)
    return f"plugin '{cls.__module__.partition('.')[0]}': {cls.__name__}"


def described(value: object) -> str:
    """What a value is: type and shape of a tensor, else the class."""
    if not isinstance(value, Tensor):
        return "None" if value is None else f"an object of the class {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {_brackets(value.shape)}"


def check_class(what: str, value: object, allowed: type, meaning: str = "") -> None:
    """Refuse a value of another class.

    Raises:
        UserError: it is not of the class `allowed`.
    """
    if not isinstance(value, allowed):
        raise UserError(f"{what} returned {described(value)}, expected {allowed.__name__}{f' ({meaning})' if meaning else ''}")


def check_shape(what: str, value: object, shape: Sequence[int | str], meaning: str) -> Tensor:
    """The value, which must be a floating-point tensor of `shape`, where a letter allows any positive size.

    Raises:
        UserError: it is something else.
    """
    fits = isinstance(value, Tensor) and value.is_floating_point() and value.ndim == len(shape)
    if not (
        fits and isinstance(value, Tensor) and all(n == size if isinstance(size, int) else n > 0 for n, size in zip(value.shape, shape, strict=True))
    ):
        raise UserError(f"{what} returned {described(value)}, expected floating-point {_brackets(shape)} ({meaning})")
    return value


def check_finite(what: str, value: Tensor, meaning: str) -> Tensor:
    """The value, whose numbers must all be finite; waits for the device.

    Raises:
        NonFiniteError: some are not.
    """
    if not bool(value.detach().isfinite().all()):
        bad = int((~value.detach().isfinite()).sum())
        raise NonFiniteError(f"{what} returned {described(value)} in which {bad} of {value.numel()} numbers are not finite ({meaning})")
    return value


def check_costs(what: str, costs: object, batch: int, first: str | None = None) -> Mapping[str, Tensor]:
    """Costs by name, each a number per image [batch]; the first must be named `first`.

    Raises:
        UserError: they are something else.
    """
    check_class(what, costs, Mapping, "name -> cost of each image, in nats")
    assert isinstance(costs, Mapping)
    if first is not None and next(iter(costs), None) != first:
        raise UserError(f"{what} returned {', '.join(map(str, costs)) or 'nothing'}, expected '{first}' first: the family's `cost`")
    return {name: check_shape(f"{what}['{name}']", cost, (batch,), "nats per image") for name, cost in costs.items()}


def _brackets(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"
