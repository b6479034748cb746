"""What is known of a component, in words."""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from anokit.plugin import Options, resolve_fields
from anokit.recipe.toml import to_toml
from anokit.registry.entries import Entry
from anokit.registry.hookspecs import KIND_WORDS, RECIPE_KINDS


def facts(entry: Entry) -> list[tuple[str, str]]:
    """Return what is known of a component beside its options, as labels and texts.

    Where options decide, the texts are about the component's example.
    """
    component = entry.component
    example = component.options.model_validate(dict(component.example))
    found = [("plugin", f"{entry.plugin} {entry.version}")]
    for label, fields in (
        ("needs", component.needs),
        ("map needs", component.map_needs),
        ("provides", component.provides),
        ("trains an encoder on trips from", component.trips),
    ):
        names = ", ".join(sorted(resolve_fields(fields, example)))
        if callable(fields):
            names = f"{names or 'nothing'} in the example; the options decide"
        if names:
            found.append((label, names))
    if component.trip_from:
        found.append(("its trip starts from", component.trip_from))
    if component.weighs_images:
        found.append(("losses of each image", "may be exposed by [training] refine"))
    if component.simulate:
        found.append(("simulation", 'offers when_missing = "simulate"'))
    if component.reference:
        found.append(("reference", component.reference))
    return found


def snippet(entry: Entry) -> str:
    """Return how a component is used with its example options: lines of a recipe, or a command."""
    if entry.kind not in RECIPE_KINDS:
        name = entry.component.name
        given = [name, *(f"{name}.{key}={value}" for key, value in entry.component.example.items())]
        return " ".join(["anokit run RECIPE", *(f"--watch {shlex.quote(w)}" for w in given)]) + "\n"
    table = {"use": entry.component.name, **entry.component.example}
    words = KIND_WORDS[entry.kind]
    return to_toml({words.key: [table] if words.repeated else table})


def option_rows(options: type[Options]) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and meaning of every option."""
    return [
        (name, type_name(field), default_text(field), (field.description or "").strip())
        for name, field in options.model_fields.items()
    ]


def type_name(field: FieldInfo) -> str:
    """Return an option's type with its range, in the words of a recipe's author."""
    words = _type_words(field.annotation)
    limits = []
    for limit in field.metadata:
        for attribute, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            value = getattr(limit, attribute, None)
            if value is not None:
                limits.append(
                    f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}"
                )
    return f"{words} {', '.join(limits)}".strip()


def default_text(field: FieldInfo) -> str:
    """Return an option's default as a recipe would write it."""
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined:
        return "unset"
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _type_words(annotation: Any) -> str:
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if annotation in names:
        return names[annotation]
    if get_origin(annotation) is Annotated:
        return _type_words(get_args(annotation)[0])
    arguments = [a for a in get_args(annotation) if a is not type(None) and a is not Ellipsis]
    if str(get_origin(annotation)) == "typing.Literal":
        return " | ".join(json.dumps(a) for a in arguments)
    words = list(dict.fromkeys(_type_words(a) for a in arguments))
    if get_origin(annotation) in (list, tuple, set, frozenset):
        return f"list of {' or '.join(words)}"
    if get_origin(annotation) is dict:
        return f"table of {words[-1]}"
    if words:
        return " or ".join(words)
    return getattr(annotation, "__name__", str(annotation)).lower()
