"""From a suite's settings to a run: defaults are filled in, parts looked up, and what the run does not read is dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, reduce
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from latentbench.data.dataset import DataSet
from latentbench.errors import UserError, first_problem, nearest, written
from latentbench.models.network import Network
from latentbench.models.numerics import VERSION as NUMERICS_VERSION
from latentbench.neutral import with_neutral, without_neutral
from latentbench.part import Assembly, Options, Part
from latentbench.registry import Registry
from latentbench.suites.phase import Phase
from latentbench.suites.settings import OPTION_OWNERS, Run, Settings, Training
from latentbench.suites.sweep import NESTED, merged

P = TypeVar("P", bound=Part)
G = TypeVar("G", bound=Options)
PART_KINDS = {"family": "families", "estimator": "estimators", "dataset": "datasets", "likelihood": "likelihoods"}
"""The kind of the part that a setting names, where it is not a network."""


class InapplicableError(Exception):
    """A combination of parts that cannot be trained; `part` is the setting whose value refuses, the message says why."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part


@dataclass(frozen=True)
class Resolved:
    """A run, what it is made of, and which of the given settings it reads."""

    run: Run
    assembly: Assembly
    read: frozenset[str]


def resolve(settings: Mapping[str, Any], registry: Registry, device: str, scale: float = 1.0) -> Resolved:
    """The run that dotted `settings` (`training.epochs`) describe, with every duration times `scale`.

    Raises:
        InapplicableError: a part does not apply to this combination.
        MissingPluginError: a name that no loaded plugin provides, while some plugin is broken.
        UserError: a name is unknown, a setting is missing or has a wrong value; its `key` is the setting.
    """
    family, dataset = _named(settings, "family", registry.family), _named(settings, "dataset", registry.dataset)
    parts = _look_up(merged(merged(dataset.defaults, family.defaults), settings), family, registry)
    filled = merged(_preferred(parts, _protocol(settings, dataset)), settings)
    options = {owner: _scaled(given, scale, f"{owner}_options") for owner, given in _options(filled, parts).items()}
    values = _validated(filled)
    if values.dtype == "tf32" and device != "cuda":
        raise UserError("tf32 is a precision of CUDA devices, and these runs are for the CPU; choose float32", key="dtype")
    assembly = _assemble(values.latent_dim, parts, options)
    _check_applicable(parts, assembly, options)
    patterns = frozenset().union(*(part.ignored(assembly, options.get(setting, Options())) for setting, part in parts.items()))
    patterns |= values.training.unread
    training = _scaled(values.training, scale, "training")
    if training.beta_hold is None:
        training = training.model_copy(update={"beta_hold": Phase(0.0 if assembly.linear_decoder else 0.01)})  # the authors' choice
    kept = _read(values, training, options, patterns)
    _check_temperatures(kept["training"], family, patterns)
    run = Run(
        **{
            **kept,
            "likelihood": assembly.likelihood.name,
            "encoder": kept.get("encoder"),
            "estimator": kept.get("estimator"),
            "beta": kept.get("beta"),
            "protocol": kept.get("protocol"),
            "compile": kept["compile"] or None,
        },
        device=cast("Any", device),
        plugins=versions(parts, device),
        sources=_sources(cast("DataSet", assembly.dataset)),
    )
    return Resolved(run, assembly, frozenset(key for key in settings if _known(key, options) and not _ignored(key, patterns)))


def versions(parts: Mapping[str, type[Part]], device: str) -> dict[str, str]:
    """`setting:name` -> version of all that decides a run's numbers: its parts, and on CUDA the switches of `latentbench.models.numerics`."""
    own = {f"{setting}:{part.name}": part.version for setting, part in parts.items()}
    return own | ({"numerics:cuda": NUMERICS_VERSION} if device == "cuda" else {})


def _read(values: Settings, training: Training, options: Mapping[str, Options], patterns: frozenset[str]) -> dict[str, Any]:
    """The settings that a run reads, as JSON has them: none that a part ignores, that says nothing (None), or that is at its neutral value."""
    models = {"training": training, **{nested: options[owner] for nested, owner in OPTION_OWNERS.items()}}
    inner = {nested: _said(model.model_dump(mode="json"), f"{nested}.", patterns) for nested, model in models.items()}
    inner = {nested: without_neutral(type(models[nested]), said) for nested, said in inner.items()}
    return without_neutral(Settings, {**_said(values.model_dump(exclude={*NESTED}), "", patterns), **inner})


def _said(settings: Mapping[str, Any], prefix: str, patterns: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None and not _ignored(prefix + key, patterns)}


def _protocol(settings: Mapping[str, Any], dataset: type[DataSet]) -> str | None:
    name = settings.get("protocol")
    if name is not None and (not isinstance(name, str) or name not in dataset.protocols):
        known = ", ".join(sorted(dataset.protocols)) or "none"
        raise UserError(
            f"unknown protocol {written(name)} for data set '{dataset.name}'{nearest(str(name), dataset.protocols)}; known: {known}", key="protocol"
        )
    return name


def _preferred(parts: Mapping[str, type[Part]], protocol: str | None) -> Mapping[str, Any]:
    """What the parts prefer where the suite says nothing: their defaults, and over all of those the protocol."""
    order = [parts[name] for name in ("dataset", "likelihood", "decoder", "encoder", "family", "estimator") if name in parts]
    layers = [part.defaults for part in order] + [part.protocols.get(protocol or "", {}) for part in order]
    return reduce(merged, layers)


@cache
def _sources(dataset: DataSet) -> dict[str, str]:
    return dict(dataset.sources())


@cache
def _dataset(dataset: type[DataSet], options: str) -> DataSet:
    """The data set of these options, as JSON: one instance for all runs that have it."""
    return dataset(dataset.options_model.model_validate_json(options))


@cache
def _ignored(key: str, patterns: frozenset[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _check_applicable(parts: Mapping[str, type[Part]], assembly: Assembly, options: Mapping[str, Options]) -> None:
    for setting in ("encoder", "decoder"):
        if setting in parts and getattr(parts[setting], setting) is getattr(Network, setting):
            raise InapplicableError(setting, f"{setting} '{parts[setting].name}' does not apply: the network has no {setting}")
    for setting, part in parts.items():
        reason = part.inapplicable(assembly, options.get(setting, Options()))
        if reason:
            raise InapplicableError(setting, f"{setting} '{part.name}' does not apply: {reason}")


def _check_temperatures(training: Mapping[str, Any], family: type[Part], patterns: frozenset[str]) -> None:
    for key in ("temperature_start", "temperature_stop"):
        if key not in training and not _ignored(f"training.{key}", patterns):
            raise UserError(f"is missing: family '{family.name}' samples at a temperature", key=f"training.{key}")


def assemble(run: Run, registry: Registry) -> Assembly:
    """The parts of a run, with the options of each.

    Raises:
        UserError: a part is not registered.
    """
    filled = {k: v for k, v in run.model_dump().items() if v is not None}
    parts = parts_of(run, registry)
    complete = {outer: with_neutral(parts[owner].options_model, filled.get(outer, {})) for outer, owner in OPTION_OWNERS.items() if owner in parts}
    flat = {f"{outer}.{inner}": value for outer, options in complete.items() for inner, value in options.items()}
    return _assemble(run.latent_dim, parts, _options(flat, parts))


def parts_of(run: Run, registry: Registry) -> dict[str, type[Part]]:
    """The parts of a run by the setting that names them.

    Raises:
        UserError: a part is not registered.
    """
    filled = {k: v for k, v in run.model_dump().items() if v is not None}
    return _look_up(filled, registry.family(run.family), registry)


def _named(settings: Mapping[str, Any], key: str, get: Callable[[str], type[P]]) -> type[P]:
    """The part that a setting names; the setting is the `key` of errors."""
    value = settings.get(key)
    if not isinstance(value, str):
        raise UserError("is missing" if value is None else f"expected a name, got {written(value)}", key=key)
    try:
        return get(value)
    except UserError as error:
        raise error.at(key=key) from error


def _look_up(filled: Mapping[str, Any], family: type[Part], registry: Registry) -> dict[str, type[Part]]:
    """The parts by the setting that names them. What the family ignores (an encoder, an estimator) is left out."""
    parts: dict[str, type[Part]] = {
        "family": family,
        "dataset": _named(filled, "dataset", registry.dataset),
        "likelihood": _named(filled, "likelihood", registry.likelihood),
        "decoder": _named(filled, "decoder", registry.network),
    }
    if not family.names_ignored("encoder"):
        parts["encoder"] = _named(filled, "encoder", registry.network)
    if not family.names_ignored("estimator"):
        parts["estimator"] = _named(filled, "estimator", registry.estimator)
    return parts


def _options(filled: Mapping[str, Any], parts: Mapping[str, type[Part]]) -> dict[str, Options]:
    """The options of every part; settings that a part does not know belong to another value of the sweep."""
    options: dict[str, Options] = {}
    for nested, owner in OPTION_OWNERS.items():
        model = parts[owner].options_model if owner in parts else Options
        given = {name: filled[f"{nested}.{name}"] for name in model.model_fields if f"{nested}.{name}" in filled}
        try:
            options[owner] = model.model_validate(given)
        except ValidationError as error:
            raise first_problem(error, model, given, nested).error(note=f" (option of {owner} '{parts[owner].name}')") from error
    return options


def _scaled(given: G, scale: float, key: str) -> G:
    """Options or training settings of a run that is `scale` times as long, checked once more."""
    if scale == 1:
        return given
    changed = given.scaled(scale).model_dump()
    try:
        return type(given).model_validate(changed)
    except ValidationError as error:
        raise first_problem(error, type(given), changed, key).error() from error


def _assemble(latent_dim: int, parts: Mapping[str, type[Part]], options: Mapping[str, Options]) -> Assembly:
    return Assembly(
        dataset=_dataset(cast("type[DataSet]", parts["dataset"]), options["dataset"].model_dump_json()),
        latent_dim=latent_dim,
        family=cast("Any", parts["family"]),
        likelihood=cast("Any", parts["likelihood"]),
        decoder=cast("Any", parts["decoder"]),
        encoder=cast("Any", parts.get("encoder")),
        estimator=cast("Any", parts.get("estimator")),
        options=options,
    )


def _validated(filled: Mapping[str, Any]) -> Settings:
    """The settings, but for the options of parts, which are checked by the parts."""
    given: dict[str, Any] = {key: value for key, value in filled.items() if "." not in key}
    given["training"] = {key.removeprefix("training."): value for key, value in filled.items() if key.startswith("training.")}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise first_problem(error, Settings, given).error() from error


def _known(key: str, options: Mapping[str, Options]) -> bool:
    """Whether a part of this run has the option that a dotted key names; other settings are always known."""
    outer, _, inner = key.partition(".")
    return outer not in OPTION_OWNERS or inner in type(options[OPTION_OWNERS[outer]]).model_fields


def unknown_option(key: str, registry: Registry) -> str | None:
    """The message for a dotted key that names an option which no part has; None for options of some part, and other settings."""
    outer, _, inner = key.partition(".")
    if outer in OPTION_OWNERS:
        kinds = PART_KINDS.get(OPTION_OWNERS[outer], "networks")
        known = sorted({name for part in registry.parts[kinds].values() for name in part.options_model.model_fields})
        if inner not in known:
            return f"unknown option '{key}'{nearest(inner, known)}; known: {', '.join(known) or 'none'}"
    return None
