"""How a component is used, for the README of its package: a recipe that is right, or a command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anokit.authoring.scaffold.names import Names
from anokit.authoring.words import snippet
from anokit.errors import AnokitError, UsageError
from anokit.plugin import Kind, resolve_fields
from anokit.recipe.reading import resolve
from anokit.recipe.toml import to_toml
from anokit.registry.entries import Entry
from anokit.registry.hookspecs import KIND_WORDS, RECIPE_KINDS
from anokit.registry.lookup import Registry

ABOUT = (
    "A recipe that uses it, with options small enough to try it out (what else it names is in "
    "`pip install anokit[all]`):"
)


def use_of(entry: Entry, names: Names, registry: Registry) -> str:
    """Return Markdown that shows how a copy of a component is used.

    Raises
    ------
    UsageError
        Where what is installed makes no recipe with it.
    """
    if entry.kind not in RECIPE_KINDS:
        return "    " + snippet(entry).replace(entry.component.name, names.component).strip()
    for tables in _recipes(entry, registry):
        try:
            resolve(tables, registry, Path("README.md"))
        except AnokitError:
            continue
        head = KIND_WORDS[entry.kind].key
        table = tables[head][0] if KIND_WORDS[entry.kind].repeated else tables[head]
        table["use"] = names.component
        return f"{ABOUT}\n\n```toml\n{to_toml(tables).strip()}\n```"
    raise UsageError(
        f"--from {entry.kind}:{entry.component.name}: what is installed makes no recipe with it, "
        "which the README has to show; install anokit[all]"
    )


def _recipes(entry: Entry, registry: Registry) -> Iterator[dict[str, Any]]:
    """Yield recipes with a component, right ones among them where there are any."""
    given = {entry.kind: [entry]}
    for dataset in given.get("dataset") or _first(registry, "dataset", "digits"):
        for backbone in given.get("backbone") or _first(registry, "backbone", "pgan"):
            for loss in given.get("encoder-loss") or _losses(backbone, registry):
                for score in given.get("score") or _first(registry, "score", "residual"):
                    tables = {"dataset": _table(dataset), "backbone": _table(backbone)}
                    losses = {"encoder-losses": [_table(loss)]} if loss else {}
                    yield {**tables, **losses, "scores": [_table(score)]}


def _first(registry: Registry, kind: Kind, name: str) -> list[Entry]:
    """Return the components of a kind, the one of that name first."""
    return sorted(registry.of_kind(kind), key=lambda entry: entry.component.name != name)


def _losses(backbone: Entry, registry: Registry) -> list[Entry | None]:
    """Return an encoder loss that a backbone can be trained with; None for one that takes none."""
    component = backbone.component
    options = component.options.model_validate(dict(component.example))
    starts = resolve_fields(component.trips, options)
    losses = registry.of_kind("encoder-loss")
    return [next((one for one in losses if one.component.trip_from in starts), None)]


def _table(entry: Entry) -> dict[str, Any]:
    example: Mapping[str, Any] = entry.component.example
    return {"use": entry.component.name, **example}
