"""A JSON Schema of recipes with the options of the installed components, for editors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anokit.recipe.parts import CORE_KEYS
from anokit.recipe.reading import COMBINE
from anokit.recipe.tables import RecipeTables
from anokit.registry.entries import Entry
from anokit.registry.hookspecs import RECIPE_KINDS
from anokit.registry.lookup import Registry

Schema = dict[str, Any]


def recipe_schema(registry: Registry) -> Schema:
    """Return a JSON Schema (draft 2020-12) that recipes for these components satisfy."""
    schema = RecipeTables.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions: Schema = schema.setdefault("$defs", {})
    for kind in RECIPE_KINDS:
        names = [_define(entry, definitions) for entry in registry.of_kind(kind)]
        definitions[kind] = {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    definitions["named-score"] = _named_score(registry.of_kind("score"), definitions)
    definitions["sum"] = {
        "type": "object",
        "description": "a weighted sum of scores",
        "properties": {
            "name": {"type": "string"},
            "combine": {
                "enum": list(COMBINE),
                "default": COMBINE[0],
                "description": "robust-z: median and spread of each term's training values are "
                "taken out first",
            },
            "terms": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/score"}},
        },
        "required": ["name", "terms"],
        "additionalProperties": False,
    }
    places: dict[str, Schema] = {
        "dataset": {"$ref": "#/$defs/dataset"},
        "backbone": {"$ref": "#/$defs/backbone"},
        "encoder-losses": {"items": {"$ref": "#/$defs/encoder-loss"}},
        "scores": {
            "items": {"anyOf": [{"$ref": "#/$defs/named-score"}, {"$ref": "#/$defs/sum"}]},
        },
        "baselines": {
            "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/named-score"}]},
        },
    }
    for key, place in places.items():
        # What pydantic says of these is only that they are tables, or lists of them.
        known = schema["properties"][key]
        kept = {k: known[k] for k in ("description", "default", "minItems") if k in known}
        kept |= {"type": "array"} if "items" in place else {}
        schema["properties"][key] = {**kept, **place}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "anokit recipe"
    return schema


def _define(entry: Entry, definitions: Schema, more: Mapping[str, Schema] | None = None) -> str:
    """Add the table of one component to the definitions and return its name there."""
    key = f"{entry.kind} {entry.qualified}" + (" named" if more else "")
    # A space and a slash mean something in a reference.
    key = key.replace(" ", ".").replace("/", ".")
    options = entry.component.options.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}")
    for name, nested in options.pop("$defs", {}).items():
        definitions[f"{key}.{name}"] = nested
    properties = {
        "use": {"enum": [entry.component.name, entry.qualified]},
        **(more or {}),
        **CORE_KEYS[entry.kind].model_json_schema()["properties"],
        **options.get("properties", {}),
    }
    definitions[key] = {
        "title": entry.component.name,
        "type": "object",
        "description": entry.component.summary,
        "properties": properties,
        "required": ["use", *options.get("required", [])],
        "additionalProperties": False,
    }
    return key


def _named_score(entries: Sequence[Entry], definitions: Schema) -> Schema:
    """Return the table of a score that may have a name, as ``[[scores]]`` takes it."""
    name: Schema = {"type": "string", "description": "stands in the results instead of `use`"}
    keys = [_define(entry, definitions, {"name": name}) for entry in entries]
    return {"oneOf": [{"$ref": f"#/$defs/{key}"} for key in keys]}
