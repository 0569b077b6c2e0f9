"""The fields of settings models as JSON Schema, each complete in itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from latentbench.neutral import KEY

Schema = dict[str, Any]
DROPPED = ("title", KEY, "$ref")
"""Keywords of pydantic's schemas that say nothing to an editor, and references, which are replaced."""
DEFINED = "#/$defs/"


class _Generator(GenerateJsonSchema):
    """A field whose type JSON Schema cannot express may have any value: what is wrong with it is said when the suite is read."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        return {}

    def encode_default(self, dft: Any) -> Any:
        """A default as JSON has it; of classes with a form of their own, whose defaults `field_schemas` adds, none."""
        return None if is_dataclass(dft) else super().encode_default(dft)


def field_schemas(model: type[BaseModel]) -> dict[str, Schema]:
    """Field -> the schema of one value of it, with its description and its default as suites have it, in the order of the model."""
    whole = model.model_json_schema(schema_generator=_Generator)
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    schemas = {name: _inlined(about, whole.get("$defs", {})) for name, about in whole.get("properties", {}).items()}
    return {name: {**schema, **({"default": defaults[name]} if name in defaults else {})} for name, schema in schemas.items()}


def object_schema(properties: Mapping[str, Schema], **more: Any) -> Schema:
    """The schema of a mapping with these keys and no others."""
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}


def model_schema(model: type[BaseModel]) -> Schema:
    """The schema of a mapping that a model reads."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return object_schema(field_schemas(model), **({"required": required} if required else {}))


def bare(schema: Schema) -> Schema:
    """A schema without what it says to readers."""
    return {key: value for key, value in schema.items() if key not in ("description", "default")}


def any_of(*schemas: Schema) -> Schema:
    """What at least one of the schemas admits, each listed once."""
    distinct = [schema for place, schema in enumerate(schemas) if schema not in schemas[:place]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _inlined(schema: Any, definitions: Mapping[str, Any], above: tuple[str, ...] = ()) -> Any:
    """A schema in which references are replaced by what they mean; one within itself is left open."""
    if isinstance(schema, list):
        return [_inlined(item, definitions, above) for item in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).removeprefix(DEFINED)
    if name in above:
        return {}
    referred = _inlined(definitions[name], definitions, (*above, name)) if name else {}
    return {**referred, **{key: _keyword(key, value, definitions, above) for key, value in schema.items() if key not in DROPPED}}


def _keyword(key: str, value: Any, definitions: Mapping[str, Any], above: tuple[str, ...]) -> Any:
    """The value of a keyword of a schema. Names of properties are no keywords, and values that are given are no schemas."""
    if key == "properties":
        return {name: _inlined(about, definitions, above) for name, about in value.items()}
    return value if key in ("default", "const", "enum") else _inlined(value, definitions, above)
