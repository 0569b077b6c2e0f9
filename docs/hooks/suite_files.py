"""Suite files and profiles as a page, from the models that read them."""

from __future__ import annotations

import json
import re
from typing import Any

from docstrings import cell, code, table
from pydantic import BaseModel

from latentbench.suites.expect import Verify
from latentbench.suites.field_schemas import Schema, field_schemas
from latentbench.suites.settings import OPTION_OWNERS, Settings, Training
from latentbench.suites.suite import Leaderboard, SuiteFile
from latentbench.suites.tune import Tune

LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
NAMES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "mapping", "null": "null"}
PATTERNS = {"epoch": "`N epochs` or `N steps`", "smh": "a duration like `12h`", "/": "`FOLDER/TABLE`", "-": "numbers like `1-5`"}
"""What a pattern asks for, by a mark of it."""
SINGULAR = re.compile(r"^(whole number|number|text|mapping)")
INTRODUCTION = """# Suite files

A suite is a YAML 1.2 file. [How to write one](../guide/suites.md); `latentbench schema` has the same as JSON Schema."""
SWEEPS = """A sweep has the settings below, nested (`training: {epochs: 10}`) or with dots (`training.epochs: 10`), each with one value
or a list of them, and

| key | meaning |
| --- | --- |
| `zip` | Settings whose lists have one length and go together. |
| `exclude` | Combinations to leave out: a list of mappings from settings to a value or several. |
| `overrides` | Settings of the combinations that match: a list of `{match: {...}, set: {...}}`. |"""


def page() -> str:
    """Every section of a suite file."""
    own = [name for name in Settings.model_fields if name not in OPTION_OWNERS and name != "training"]
    parts = [
        INTRODUCTION,
        f"## The file\n\n{fields_table(SuiteFile)}",
        f"## Sweeps\n\n{SWEEPS}",
        f"## Settings of a run\n\n{fields_table(Settings, own)}",
        f"`{'`, `'.join(OPTION_OWNERS)}` hold [the options of the parts](parts.md).",
        f"## training\n\n{fields_table(Training)}",
        f"## leaderboard\n\n{fields_table(Leaderboard)}",
        f"## tune\n\n{fields_table(Tune)}",
        f"## verify\n\n{fields_table(Verify)}",
        "## engine\n\nThe name of an engine, or `name` and the [engine's options](parts.md#engines). A profile is a file with this section alone.",
    ]
    return "\n\n".join(parts) + "\n"


def fields_table(model: type[BaseModel], names: list[str] | None = None) -> str:
    """The fields of a model: name, type, default, description."""
    schemas = field_schemas(model)
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    rows = [
        (code(name), in_words(schemas[name]), "*needed*" if name in needed else default(schemas[name]), cell(schemas[name].get("description", "")))
        for name in names or schemas
    ]
    return table(("field", "type", "default", "meaning"), rows)


def default(schema: Schema) -> str:
    """The default of a field as YAML has it; nothing for none."""
    value = schema.get("default")
    return "" if value in (None, "", [], {}) or (isinstance(value, dict) and len(value) > 1) else code(json.dumps(value))


def in_words(schema: Any) -> str:
    """The type that a schema asks for, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(in_words(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return ", ".join(code(str(value)) for value in schema.get("enum", [schema.get("const")]) if value is not None)
    if schema.get("type") == "array":
        return f"list of {SINGULAR.sub(_plural, in_words(schema.get('items', {})))}"
    if "pattern" in schema:
        return next(words for mark, words in PATTERNS.items() if mark in schema["pattern"])
    limits = [f"{words} {limit:g}" for key, words in LIMITS.items() if (limit := schema.get(key)) is not None and abs(limit) < 2**31 - 1]
    return " ".join([NAMES.get(str(schema.get("type")), "any value"), *([" and ".join(limits)] if limits else [])])


def _plural(found: re.Match[str]) -> str:
    return f"{found[1]}s"
