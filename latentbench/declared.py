"""What a part declares, checked when its plugin is loaded: its base, its methods, its name, and the types of its class variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast, get_args

from latentbench.data.dataset import DataSet, Pixels
from latentbench.evaluation.contract import Evaluation
from latentbench.measure import measures_problem
from latentbench.models.family import Family
from latentbench.models.network import Network
from latentbench.part import Options, Part, Registered

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
"""Names stand in suites, in comma-separated lists on the command line, and in names of files."""


def problem(part: object, base: type[Registered]) -> str | None:
    """The first rule that a part derived from `base` breaks, as a clause that begins with the part; None where it keeps all."""
    if not (isinstance(part, type) and issubclass(part, base)):
        return f"{part!r} is not a class derived from {base.__name__}"
    broken = next(_broken(part), None) or next(_broken_of_kind(part), None)
    return None if broken is None else f"{part.__name__} {broken}"


def _broken(part: type[Registered]) -> Iterator[str]:
    """The rules of all registered classes that this one breaks."""
    name = getattr(part, "name", None)
    if name is None:
        yield "has no `name`"
    elif not (isinstance(name, str) and NAME.fullmatch(name)):
        yield f"has the name {name!r}; a name is a letter, then up to 63 letters, digits, '_', '.', '+' or '-'"
    missing = sorted(getattr(part, "__abstractmethods__", ()))
    if missing:
        yield f"does not implement {', '.join(missing)}"
    if not (isinstance(part.options_model, type) and issubclass(part.options_model, Options)):
        yield f"has the options_model {part.options_model!r}; it must be a class derived from latentbench.api.Options"
    if issubclass(part, Part):
        yield from _broken_of_part(part)


def _broken_of_part(part: type[Part]) -> Iterator[str]:
    """The rules of all parts of runs that this one breaks."""
    if not (isinstance(part.version, str) and part.version):
        yield f"has the version {part.version!r}; a version is a text, as in '1'"
    if not (isinstance(part.ignores, (set, frozenset)) and all(isinstance(key, str) for key in part.ignores)):
        yield f"has ignores = {part.ignores!r}; it must be a set of texts"
    if not _by_text(part.defaults):
        yield f"has defaults = {part.defaults!r}; they must be a mapping from dotted settings to values"
    if not (_by_text(part.protocols) and all(_by_text(settings) for settings in part.protocols.values())):
        yield f"has protocols = {part.protocols!r}; they must be a mapping from names to mappings from dotted settings to values"


def _broken_of_kind(part: type[Registered]) -> Iterator[str]:
    """The rules of its kind that this part breaks."""
    if issubclass(part, Family) and not (isinstance(getattr(part, "cost", None), str) and isinstance(getattr(part, "has_posterior", None), bool)):
        yield "must say what `cost` it minimises (a metric's name), and whether it `has_posterior`"
    if issubclass(part, Family):
        yield from filter(None, [measures_problem("measures", part.measures)])
    if issubclass(part, Network) and part.encoder is Network.encoder and part.decoder is Network.decoder:
        yield "implements neither encoder nor decoder"
    if issubclass(part, Evaluation):
        yield from filter(None, [measures_problem("metrics", part.metrics)])
    if issubclass(part, DataSet):
        yield from _broken_of_dataset(part)


def _broken_of_dataset(part: type[DataSet]) -> Iterator[str]:
    shape = cast("object", getattr(part, "data_shape", None))
    if not (isinstance(shape, property) or (isinstance(shape, tuple) and shape and all(type(side) is int and side > 0 for side in shape))):
        yield f"has the data_shape {shape!r}; it must be a tuple of positive numbers, as (channels, height, width) of images or (M,) of vectors"
    if not isinstance(part.pixels, property) and part.pixels not in get_args(Pixels):
        yield f"has pixels = {part.pixels!r}; they are 'real', 'unit' (in [0, 1]), 'binary' (0 or 1) or 'count' (0, 1, 2, ...)"
    if not isinstance(part.labelled, bool):
        yield f"has labelled = {part.labelled!r}; it is True or False"


def _by_text(value: object) -> bool:
    """Whether a value is a mapping whose keys are texts."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
