"""What a part declares, checked when its plugin is loaded: its base, its methods, its name, and the types of its class variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast, get_args

from latentbench.data.dataset import DataSet, Pixels
from latentbench.evaluation.contract import Evaluation
from latentbench.loading import registered_problem
from latentbench.measure import measures_problem
from latentbench.models.family import Family
from latentbench.models.network import Network
from latentbench.part import Part, Registered
from latentbench.search import space_problem


def problem(part: object, base: type[Registered]) -> str | None:
    """The first rule that a part derived from `base` breaks, as a clause that begins with the part; None where it keeps all."""
    broken = registered_problem(part, base)
    if broken is not None:
        return broken
    own = cast("type[Registered]", part)
    of_part = _broken_of_part(own) if issubclass(own, Part) else iter(())
    return next((f"{own.__name__} {rule}" for rule in (*of_part, *_broken_of_kind(own))), None)


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
    yield from filter(None, [space_problem(part.search)])
    if not (_by_text(part.deviations) and all(isinstance(reason, str) and reason for reason in part.deviations.values())):
        yield f"has deviations = {part.deviations!r}; they must be a mapping from checks of the conformance kit to reasons"


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
    if not isinstance(part.has_test, bool):
        yield f"has has_test = {part.has_test!r}; it is True or False"


def _by_text(value: object) -> bool:
    """Whether a value is a mapping whose keys are texts."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
