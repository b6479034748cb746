"""What `list-plugins` and `describe` print. Plain text where there is no terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from anokit.discovery import Entry
from anokit.plugin import Options, resolve_fields
from anokit.registry import Registry


def as_json(registry: Registry, kind: str | None = None) -> str:
    """Return components and problems as JSON."""
    components = [
        {
            "kind": e.kind,
            "name": e.component.name,
            "qualified": e.qualified,
            "plugin": e.plugin,
            "version": e.version,
            "summary": e.component.summary,
            "reference": e.component.reference,
            "options": e.component.options.model_json_schema(),
        }
        for e in registry.entries
        if kind in (None, e.kind)
    ]
    problems = [
        {"plugin": p.plugin, "version": p.version, "message": p.message, "hint": p.hint}
        for p in registry.problems
    ]
    return json.dumps(
        {"components": components, "problems": problems}, indent=2, ensure_ascii=False
    )


def print_table(registry: Registry, kind: str | None = None) -> None:
    """Print one line per component."""
    rows = [
        (
            e.kind,
            e.qualified if registry.ambiguous(e) else e.component.name,
            e.component.summary,
            f"{e.plugin} {e.version}",
        )
        for e in registry.entries
        if kind in (None, e.kind)
    ]
    if not rows:
        print("no components; install plugins, for example: pip install anokit[all]")
        return
    _print_columns(("KIND", "NAME", "SUMMARY", "PLUGIN"), rows)


def print_problems(registry: Registry, *, debug: bool = False) -> None:
    """Print what is wrong with plugins to stderr."""
    if not registry.problems:
        return
    print("problems", file=sys.stderr)
    for problem in registry.problems:
        name = f"{problem.plugin} {problem.version}".strip()
        print(f"  {name}: {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"    {problem.hint}", file=sys.stderr)
        if debug and problem.details:
            print(problem.details, file=sys.stderr)


def describe(entry: Entry) -> None:
    """Print all that is known of one component without importing it."""
    component = entry.component
    print(f"{entry.kind} {component.name}: {component.summary}")
    print(f"plugin     {entry.plugin} {entry.version}")
    if component.reference:
        print(f"reference  {component.reference}")
    options = _defaults(component.options)
    for label, fields in (
        ("needs", component.needs),
        ("map needs", component.map_needs),
        ("provides", component.provides),
        ("trips from", component.trips),
    ):
        if fields and options is None:
            print(f"{label:<10} depends on the options")
        elif fields and options is not None:
            print(f"{label:<10} {', '.join(sorted(resolve_fields(fields, options))) or 'nothing'}")
    if component.trip_from:
        print(f"{'trips':<10} from {component.trip_from}")
    rows = option_rows(component.options)
    print()
    if rows:
        _print_columns(("OPTION", "TYPE", "DEFAULT", "MEANING"), rows)
    else:
        print("no options")
    print(f"\n{recipe_snippet(entry)}")


def recipe_snippet(entry: Entry) -> str:
    """Return the lines of a recipe that use a component with its example options."""
    from anokit.toml_text import to_toml

    table = {"use": entry.component.name, **entry.component.example}
    heads = {"score": "scores", "encoder-loss": "encoder-losses"}
    if entry.kind in heads:
        return to_toml({heads[entry.kind]: [table]})
    return to_toml({entry.kind: table})


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


def _defaults(options: type[Options]) -> Options | None:
    """Return the options with nothing set, or None where some must be."""
    if any(field.is_required() for field in options.model_fields.values()):
        return None
    return options()


def _print_columns(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table: every column as wide as it needs, the widest wrapped on a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            print("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, no_wrap=name in ("KIND", "NAME", "OPTION"))
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    console.print(table)
