"""Suite files as JSON Schema (2020-12), for editors, which complete and check them.

It is made of the models that read suites and of the parts that are registered. It admits every suite that can be loaded, but for numbers in quotes,
and refuses what is wrong whatever else the suite says: keys, names and values. What depends on other parts of a run, `latentbench plan` checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from latentbench.models.network import Network
from latentbench.part import Registered
from latentbench.registry import Registry
from latentbench.suites.field_schemas import Schema, any_of, bare, field_schemas, model_schema, object_schema
from latentbench.suites.resolve import PART_KINDS
from latentbench.suites.settings import OPTION_OWNERS, Settings, Training
from latentbench.suites.suite import Leaderboard, SuiteFile
from latentbench.suites.sweep import NESTED
from latentbench.suites.tune import Tune, space_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ONE, SWEPT, ZIPPED = "value", "swept", "zipped"
"""How a setting may be given: one value; one or a list of them; a list of values that go together with other lists."""
LENGTHS: Schema = {"not": {"required": ["epochs", "steps"]}}


def suite_schema(registry: Registry) -> Schema:
    """The schema of suite files, for the parts that are registered."""
    values = _values(registry)
    fields = field_schemas(SuiteFile)
    swept = _settings(values, SWEPT)
    fields["defaults"] |= object_schema(swept)
    fields["sweeps"] |= {"items": _sweep(registry, values, swept)}
    fields["evaluations"] |= {"items": _evaluation(registry)}
    fields["leaderboard"] |= {"anyOf": [_leaderboard(registry, values), {"type": "null"}]}
    fields["tune"] |= {"anyOf": [_tune(registry, values), {"type": "null"}]}
    fields["engine"] |= {"anyOf": [*_engines(registry), {"type": "null"}]}
    return {
        "$schema": DIALECT,
        "title": "latentbench suite",
        **object_schema(fields, required=["name"]),
        "anyOf": [_filled("sweeps"), _filled("include")],
        "allOf": [_needed(key) for key in ("family", "dataset")],
        "dependentRequired": {"verify": ["expect"]},
        "$defs": {f"{form}-{key}": _form(key, schema, form) for key, schema in values.items() for form in (ONE, SWEPT, ZIPPED)},
    }


def parts_of(setting: str, registry: Registry) -> dict[str, type[Registered]]:
    """The parts that a setting may name: of networks, those that have an encoder or a decoder."""
    parts = registry.parts[PART_KINDS.get(setting, "networks")]
    return {name: part for name, part in sorted(parts.items()) if setting in PART_KINDS or getattr(part, setting) is not getattr(Network, setting)}


def _values(registry: Registry) -> dict[str, Schema]:
    """Dotted setting -> the schema of one value of it. An option that several parts have admits what any of them does."""
    values = {name: schema for name, schema in field_schemas(Settings).items() if name not in NESTED}
    for setting in OPTION_OWNERS.values():
        optional = setting not in ("family", "dataset", "decoder")
        values[setting] = {**_about(values[setting]), **_named(parts_of(setting, registry), optional)}
    protocols = sorted({name for part in registry.parts["datasets"].values() for name in getattr(part, "protocols", ())})
    values["protocol"] = {**_about(values["protocol"]), "enum": [*protocols, None]}
    values |= {f"training.{name}": schema for name, schema in field_schemas(Training).items()}
    for nested, setting in OPTION_OWNERS.items():
        for option, owners in _options(setting, registry).items():
            about = [f"{schema.get('description', '')} ({setting} {', '.join(names)})" for schema, names in _distinct(owners)]
            values[f"{nested}.{option}"] = {**any_of(*(bare(schema) for schema in owners.values())), "description": " ".join(about)}
    return values


def _options(setting: str, registry: Registry) -> dict[str, dict[str, Schema]]:
    """Option -> the schema that each part has of it, by the part's name."""
    found: dict[str, dict[str, Schema]] = {}
    for name, part in parts_of(setting, registry).items():
        for option, schema in field_schemas(part.options_model).items():
            found.setdefault(option, {})[name] = schema
    return found


def _distinct(owners: Mapping[str, Schema]) -> list[tuple[Schema, list[str]]]:
    """Each schema with the names of the parts that have it."""
    schemas = [schema for place, schema in enumerate(owners.values()) if schema not in [*owners.values()][:place]]
    return [(schema, [name for name, own in owners.items() if own == schema]) for schema in schemas]


def _about(schema: Schema) -> Schema:
    """What a schema says to readers."""
    return {key: value for key, value in schema.items() if key not in bare(schema)}


def _named(parts: Mapping[str, type[Registered]], optional: bool = False) -> Schema:
    """The name of a part, or none where it may be left out; editors show what each is."""
    summaries = [(inspect.getdoc(part) or "").partition("\n")[0] for part in parts.values()]
    none: list[tuple[None, str]] = [(None, "None.")] if optional else []
    names = [*zip(parts, summaries, strict=True), *none]
    return {"enum": [name for name, _ in names], "enumDescriptions": [summary for _, summary in names]}


def _form(key: str, schema: Schema, form: str) -> Schema:
    """How a setting is given in one of the three forms."""
    one: Schema = {"$ref": f"#/$defs/{ONE}-{key}"}
    many: Schema = {"type": "array", "items": one, "minItems": 1}
    return schema if form == ONE else many if form == ZIPPED else {"anyOf": [one, many]}


def _settings(values: Mapping[str, Schema], form: str) -> dict[str, Schema]:
    """The keys of a mapping of settings: plain ones, nested ones, and those with dots."""
    return _nested({key: {"$ref": f"#/$defs/{form}-{key}"} for key in values}, training=LENGTHS)


def _nested(dotted: Mapping[str, Schema], **more: Schema) -> dict[str, Schema]:
    """Keys with dots, and the same nested; `more` has keywords of the settings that hold others."""
    inner = {outer: {key.partition(".")[2]: one for key, one in dotted.items() if key.startswith(f"{outer}.")} for outer in NESTED}
    about = {name: field.description or "" for name, field in Settings.model_fields.items()}
    nested = {outer: object_schema(found, description=about[outer], **more.get(outer, {})) for outer, found in inner.items()}
    return {**dotted, **nested}


def _sweep(registry: Registry, values: Mapping[str, Schema], swept: Mapping[str, Schema]) -> Schema:
    override = object_schema({"match": object_schema(swept), "set": object_schema(_settings(values, ONE))}, required=["match", "set"])
    own: dict[str, Schema] = {
        "zip": object_schema(_settings(values, ZIPPED), description="Lists of one length that go together."),
        "exclude": {"type": "array", "items": object_schema(swept), "description": "Combinations to leave out."},
        "overrides": {"type": "array", "items": override, "description": "Settings of the combinations that match."},
    }
    rules = [rule for setting in OPTION_OWNERS.values() for rule in _option_rules(setting, registry)]
    return object_schema({**swept, **own}, allOf=rules)


def _option_rules(setting: str, registry: Registry) -> Iterable[Schema]:
    """For each option: a sweep that names only parts without it cannot have it, unless an override names another part."""
    nested, names = f"{setting}_options", [*parts_of(setting, registry)]
    overridden: Schema = {
        "required": ["overrides"],
        "properties": {"overrides": {"contains": {"properties": {"set": {"required": [setting]}}}}},
    }
    for option, owners in _options(setting, registry).items():
        others: Schema = {"enum": [name for name in names if name not in owners]}
        without: Schema = {"required": [setting], "properties": {setting: {"anyOf": [others, {"type": "array", "items": others}]}}}
        if others["enum"]:
            refused = {nested: {"properties": {option: False}}, f"{nested}.{option}": False}
            yield {"if": {"allOf": [without, {"not": overridden}]}, "then": {"properties": refused}}


def _evaluation(registry: Registry) -> Schema:
    """An evaluation: its name, or its name with its options."""
    parts = dict(sorted(registry.parts["evaluations"].items()))
    models = {name: model_schema(part.options_model) for name, part in parts.items()}
    return {"anyOf": [_named(parts), object_schema(models, minProperties=1)]}


def _engines(registry: Registry) -> list[Schema]:
    """The engine's name, or a section with its name and options."""
    parts = dict(sorted(registry.parts["engines"].items()))
    sections = []
    for name, part in parts.items():
        section = model_schema(part.options_model)
        sections.append(
            {**section, "properties": {"name": {"const": name}, **section["properties"]}, "required": ["name", *section.get("required", [])]}
        )
    return [_named(parts), *sections]


def _leaderboard(registry: Registry, values: Mapping[str, Schema]) -> Schema:
    """The leaderboard, whose metric some part declares, and whose rows and columns are settings."""
    schema = model_schema(Leaderboard)
    schema["properties"]["metric"] |= {"enum": sorted(registry.declarations())}
    for part in ("rows", "columns"):
        schema["properties"][part] |= {"items": {"enum": [*values]}}
    return schema


def _tune(registry: Registry, values: Mapping[str, Schema]) -> Schema:
    """The section `tune`, whose metric some part declares, and whose models are told apart by settings."""
    schema = model_schema(Tune)
    searched = {key: about for key, about in values.items() if key != "seed"}
    schema["properties"]["metric"] |= {"enum": [*sorted(registry.declarations()), None]}
    schema["properties"]["evaluations"] |= {"items": _evaluation(registry)}
    schema["properties"]["models"] |= {"items": {"enum": [*values]}}
    schema["properties"]["space"] |= object_schema(_nested(space_schema(searched)))
    return schema


def _filled(key: str) -> Schema:
    return {"required": [key], "properties": {key: {"minItems": 1}}}


def _needed(key: str) -> Schema:
    """A setting that every run has: where the defaults lack it, each sweep says it."""
    given: list[dict[str, Any]] = [
        {"required": [key]},
        {"required": ["zip"], "properties": {"zip": {"required": [key]}}},
        {"required": ["overrides"]},
    ]
    default = {"required": ["defaults"], "properties": {"defaults": {"required": [key]}}}
    return {"if": {"not": default}, "then": {"properties": {"sweeps": {"items": {"anyOf": given}}}}}
