"""What `list-plugins`, `describe` and `recipes` print. Plain text where there is no terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from anokit.authoring.words import facts, option_rows, snippet
from anokit.recipe.shipped import AboutRecipe
from anokit.registry.entries import Entry
from anokit.registry.lookup import Registry
from anokit.store.certificate import Certified, certified


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
    return _json(
        components=components,
        problems=_problems(registry),
        slow_imports=[vars(one) for one in registry.slow],
        certificates=[one.as_dict() for one in certificates(registry)],
    )


def certificates(registry: Registry) -> list[Certified]:
    """Return what installed plugins ship about their conformance."""
    return [found for plugin in registry.plugins if (found := certified(plugin))]


def recipes_as_json(found: Sequence[AboutRecipe], registry: Registry) -> str:
    """Return the recipes that plugins bring, and the problems of plugins, as JSON."""
    recipes = [
        {
            "name": about.shipped.name,
            "qualified": about.shipped.qualified,
            "title": about.title,
            "plugin": about.shipped.plugin,
            "version": about.shipped.version,
            "path": str(about.shipped.path),
            "data": about.data,
            "simulated": about.simulated,
            "problem": about.problem,
        }
        for about in found
    ]
    return _json(recipes=recipes, problems=_problems(registry))


def _problems(registry: Registry) -> list[dict[str, str]]:
    return [
        {"plugin": p.plugin, "version": p.version, "message": p.message, "hint": p.hint}
        for p in registry.problems
    ]


def _json(**content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


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
    if shipped := certificates(registry):
        print("\nconformance, as their authors checked it")
        for one in shipped:
            print(f"  {one.plugin} {one.version}: {one.text}")


def print_recipes(found: Sequence[AboutRecipe], registry: Registry) -> None:
    """Print one line per recipe, and how to run and to change one."""
    if not found:
        print("no recipes; install plugins, for example: pip install anokit[all]")
        return
    rows = []
    for about in found:
        shipped = about.shipped
        twice = len(registry.recipes_called(shipped.name)) > 1
        rows.append(
            (
                shipped.qualified if twice else shipped.name,
                about.title,
                _data(about),
                f"{shipped.plugin} {shipped.version}",
            )
        )
    _print_columns(("NAME", "TITLE", "DATA", "PLUGIN"), rows)
    print("\nanokit run NAME runs one, anokit recipes copy NAME makes a file of it to change.")
    if any(about.problem for about in found):
        print("What does not run here most often lacks a plugin: anokit check NAME says which.")


def _data(about: AboutRecipe) -> str:
    """Return in words where a recipe's data come from."""
    if about.problem:
        return "does not run here"
    if about.data is None:
        return "comes along"
    folder = f"{about.data.rstrip('/')}/"
    return f"{folder}, or simulated" if about.simulated else folder


def print_problems(registry: Registry, *, debug: bool = False) -> None:
    """Print what is wrong with plugins to stderr, and whose import every command waits for."""
    for one in registry.slow:
        print(
            f"slow: importing {one.module} of {one.plugin} {one.version} took {one.seconds:.1f} s, "
            "which every command waits for",
            file=sys.stderr,
        )
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
    known = facts(entry)
    width = max(len(label) for label, _ in known)
    for label, text in known:
        print(f"{label:<{width}}  {text}")
    rows = option_rows(component.options)
    print()
    if rows:
        _print_columns(("OPTION", "TYPE", "DEFAULT", "MEANING"), rows)
    else:
        print("no options")
    print(f"\n{snippet(entry)}")


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
