"""The contracts as pages: what the doors of latentbench give to plugin authors, with members of latentbench's own classes alone.

`help(AmortisedFamily)` lists every method of torch.nn.Module; here a class has the members that latentbench defines, and those that it inherits from
other classes of latentbench.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property, partial
from types import FunctionType, ModuleType
from typing import Any

from docstrings import attribute_docs, cell, code, docstring, table
from pydantic import BaseModel

import latentbench.api
import latentbench.api.engines
import latentbench.reporting

PACKAGE = "latentbench."
MAX_LINE = 100
"""Characters of a signature on one line."""
DOORS: Mapping[str, ModuleType] = {module.__name__: module for module in (latentbench.api, latentbench.api.engines, latentbench.reporting)}
PAGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "families": ("Families", "latentbench.api", (
        "Family", "AmortisedFamily", "IterativeFamily", "PointFamily", "TorchFamily", "LocationScaleFamily", "SparseCoder", "Inference", "Code",
        "Posterior", "PointCode", "TorchPosterior", "Iterate", "IteratedPosterior", "IterativeOptions", "SparseCodingOptions", "estimate_kl",
    )),
    "estimators": ("Estimators", "latentbench.api", ("Estimator", "Step", "Loss")),
    "likelihoods": ("Likelihoods", "latentbench.api", ("Likelihood",)),
    "networks": ("Networks", "latentbench.api", ("Network", "dictionary_of")),
    "datasets": ("Data sets", "latentbench.api", ("DataSet", "Split", "Splits", "Pixels", "Source", "Progress", "cached", "sha256_of", "silent")),
    "evaluations": ("Evaluations", "latentbench.api", (
        "Evaluation", "EvaluationOptions", "SplitName", "Trained", "Outcome", "Metric", "PerImage", "PerUnit", "Measure",
    )),
}  # fmt: skip
"""Page -> its title, its door, and the names on it. `common` has what is left of `latentbench.api`; other doors have pages of their own."""


def names() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Page -> title, door and names, such that every name of a door is on one page."""
    taken = {name for _, _, listed in PAGES.values() for name in listed}
    rest = tuple(name for name in latentbench.api.__all__ if name not in taken)
    own = {
        "engines": ("Engines", "latentbench.api.engines", tuple(latentbench.api.engines.__all__)),
        "reporting": ("Figures, derived metrics, studies and notices", "latentbench.reporting", tuple(latentbench.reporting.__all__)),
        "common": (
            "What all parts share",
            "latentbench.api",
            ("Part", "Assembly", "Options", *(n for n in rest if n not in ("Part", "Assembly", "Options"))),
        ),
    }
    return {**PAGES, **own}


def page(title: str, door: str, listed: tuple[str, ...]) -> str:
    """The page of some names of a door."""
    sections = [_section(name, getattr(DOORS[door], name)) for name in listed]
    return "\n\n".join(
        [f"# {title}", f"`from {door} import ...`: these names keep their meaning, as [stability](../../stability.md) says.", *sections]
    )


def pages() -> dict[str, Callable[[], str]]:
    """Every page by its place in the site."""
    return {f"reference/contracts/{name}.md": partial(page, *about) for name, about in names().items()}


@cache
def _places() -> dict[type, str]:
    """The classes of the doors, with the place of each among the pages of contracts."""
    found: dict[type, str] = {}
    for name, (_, door, listed) in names().items():
        for value in (getattr(DOORS[door], one) for one in listed):
            if inspect.isclass(value):
                found.setdefault(value, f"{name}.md#{value.__name__.lower()}")
    return found


def _section(name: str, value: Any) -> str:
    if inspect.isclass(value):
        return _class(name, value)
    if isinstance(value, FunctionType):
        return f"## {name}\n\n{signature(name, value)}\n\n{docstring(value)}"
    return f"## {name}\n\n{code(str(value).replace('typing.', ''))}"


def _class(name: str, cls: type) -> str:
    bases = [base for base in cls.__mro__[1:] if ours(base)]
    derived = ", ".join(f"[`{base.__name__}`]({_places()[base]})" if base in _places() else f"`{base.__name__}`" for base in bases)
    parts = [f"## {name}", f"*Derived from {derived}.*" if bases else "", docstring(cls) if cls.__doc__ else ""]
    return "\n\n".join(part for part in [*parts, _members(cls, cls), *(_inherited(cls, base) for base in bases)] if part)


def ours(cls: type) -> bool:
    """Whether latentbench defines a class."""
    return cls.__module__.startswith(PACKAGE)


def _inherited(cls: type, owner: type) -> str:
    """What `cls` has from `owner`: the names of what is documented in another section, else the members themselves."""
    title = f"**From `{owner.__name__}`**"
    if owner in _places():
        listed = [name for name, *_ in _attributes(owner, _hidden(cls, owner))] + [f"`{name}`" for name, _ in _methods(owner, _hidden(cls, owner))]
        return f"{title}: {', '.join(listed)}. [More]({_places()[owner]})" if listed else ""
    if any(issubclass(base, owner) for base in cls.__mro__[1:] if base in _places()):
        return ""  # the section of that base has them
    members = _members(cls, owner)
    return f"{title}\n\n{members}" if members else ""


def _hidden(cls: type, owner: type) -> set[str]:
    """Names that a class before `owner` in the order of inheritance defines as well."""
    before = cls.__mro__[: cls.__mro__.index(owner)]
    return {name for base in before if ours(base) for name in (*vars(base), *inspect.get_annotations(base))}


def _members(cls: type, owner: type) -> str:
    hidden = _hidden(cls, owner)
    attributes = table(("attribute", "type", "default", "meaning"), _attributes(owner, hidden))
    return "\n\n".join(part for part in (attributes, *(_method(name, value) for name, value in _methods(owner, hidden))) if part)


def _attributes(owner: type, hidden: set[str]) -> Iterator[tuple[str, str, str, str]]:
    about = attribute_docs(owner)
    for name, kind in inspect.get_annotations(owner).items():
        if not name.startswith("_") and name not in hidden:
            described = getattr(_field(owner, name), "description", None) or about.get(name, "")
            yield code(name), code(_bare(str(kind))), code(_default(owner, name)), cell(described)


def _bare(kind: str) -> str:
    """An annotation without the mark of class variables."""
    return kind.removeprefix("ClassVar[").removesuffix("]") if kind.startswith("ClassVar[") else kind


def _field(owner: type, name: str) -> Any:
    """The pydantic field of this name; None where the class has none."""
    return owner.model_fields.get(name) if issubclass(owner, BaseModel) else None


def _default(owner: type, name: str) -> str:
    """The default of an attribute, where it is a number or a text that fits."""
    field = _field(owner, name)
    given = {one.name: one.default for one in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else {}
    value = field.get_default(call_default_factory=True) if field is not None else owner.__dict__.get(name, given.get(name, ...))
    text = repr(value) if isinstance(value, (str, int, float, tuple, type(None))) else ""
    return text if len(text) <= MAX_LINE else ""


def _methods(owner: type, hidden: set[str]) -> list[tuple[str, Any]]:
    """Public methods and properties, those that must be written first."""
    kinds = (FunctionType, classmethod, staticmethod, property, cached_property)
    found = [(name, value) for name, value in vars(owner).items() if isinstance(value, kinds) and not name.startswith("_") and name not in hidden]
    return sorted(found, key=lambda item: not getattr(item[1], "__isabstractmethod__", False))


def _method(name: str, value: Any) -> str:
    of_property = isinstance(value, (property, cached_property))
    word = "property" if of_property else type(value).__name__ if isinstance(value, (classmethod, staticmethod)) else ""
    notes = ", ".join(note for note in (word, "must be written" if getattr(value, "__isabstractmethod__", False) else "") if note)
    function = _function(value)
    return f"#### `{name}`{f' ({notes})' if notes else ''}\n\n{signature(name, function)}\n\n{docstring(function)}"


def _function(value: Any) -> Any:
    """The function in a property or a class method."""
    inner = value.fget if isinstance(value, property) else value.func if isinstance(value, cached_property) else value
    return getattr(inner, "__func__", inner)


def signature(name: str, function: Callable[..., Any]) -> str:
    """The signature as a block of code, an argument a line where it is long."""
    found = inspect.signature(function)
    parameters = [_parameter(parameter) for parameter in found.parameters.values() if parameter.name not in ("self", "cls")]
    answer = "" if found.return_annotation is inspect.Signature.empty else f" -> {_written(found.return_annotation)}"
    line = f"{name}({', '.join(parameters)}){answer}"
    long = "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){answer}"])
    return f"```text\n{line if len(line) <= MAX_LINE else long}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    kind = "" if parameter.annotation is parameter.empty else f": {_written(parameter.annotation)}"
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}{kind}{default}"


def _written(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
