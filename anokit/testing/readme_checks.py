"""The checks of the recipes that a plugin shows in its README or ships. None imports torch."""

from __future__ import annotations

import difflib
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import SkipTest

from anokit.errors import AnokitError
from anokit.plugin import Kind
from anokit.recipe.reading import check_recipe, resolve
from anokit.registry.discovery import discover
from anokit.registry.entries import Loaded
from anokit.registry.hookspecs import RECIPE_KINDS
from anokit.registry.lookup import Registry
from anokit.testing.check import expect, fail, promise
from anokit.testing.subject import Plugin

FENCE = re.compile(r"^```toml[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@promise("plugin", since="0.1")
def check_plugin_readme_recipe(plugin: Plugin) -> None:
    """Check that the README shows a whole recipe, and every one that it shows is right."""
    if plugin.entries and not any(entry.kind in RECIPE_KINDS for entry in plugin.entries):
        raise SkipTest("the plugin offers nothing that a recipe could name")
    text = readme_of(plugin)
    if text is None:
        raise SkipTest("there is no README beside the module, nor in installed metadata")
    recipes = [block for block in FENCE.findall(text) if "[backbone]" in block]
    expect(recipes, "README: expected a ```toml block with a whole recipe in it, found none")
    registry = registry_with(plugin)
    for block in recipes:
        try:
            tables = tomllib.loads(block)
        except tomllib.TOMLDecodeError as error:
            fail(f"README: a recipe is not TOML: {error}")
        absent = sorted(set(absent_components(tables, registry)))
        if absent:
            raise SkipTest(f"README: its recipe uses what is not installed here: {absent}")
        try:
            resolve(tables, registry, Path("README.md"))
        except AnokitError as error:
            fail(str(error))


@promise("plugin", since="0.1")
def check_plugin_recipes(plugin: Plugin) -> None:
    """Check that every recipe that the plugin ships lies in it, has a title and is right."""
    registry = registry_with(plugin)
    package = Path(getattr(plugin.module, "__file__", None) or "").resolve().parent
    absent: set[str] = set()
    for shipped in plugin.loaded.recipes:
        path = shipped.path
        inside = path.resolve().is_relative_to(package)
        expect(inside, f"{path}: lies outside {package}, so that no wheel would hold it")
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            fail(f"{path}: is not TOML: {error}")
        titled = isinstance(tables.get("title"), str) and tables["title"].strip()
        expect(titled, f'{path}: has no title, which `anokit recipes` shows; write title = "…"')
        lacking = set(absent_components(tables, registry))
        absent |= lacking
        if lacking:
            continue
        try:
            check_recipe(path, registry)
        except AnokitError as error:
            fail(str(error))
    if absent:
        raise SkipTest(f"shipped recipes use what is not installed here: {sorted(absent)}")


def readme_of(plugin: Plugin) -> str | None:
    """Return the README of a checkout or, failing that, of the installed distribution."""
    file = getattr(plugin.module, "__file__", None)
    for folder in list(Path(file).resolve().parents)[:4] if file else []:
        if (folder / "pyproject.toml").exists() and (folder / "README.md").exists():
            return (folder / "README.md").read_text(encoding="utf-8")
    try:
        return str(importlib.metadata.metadata(plugin.name).json.get("description", "")) or None
    except importlib.metadata.PackageNotFoundError:
        return None


def registry_with(plugin: Plugin) -> Registry:
    """Return the registry of what is installed, the plugin among it whether it is or not."""
    loaded = discover()
    others = [entry for entry in loaded.entries if entry.plugin != plugin.name]
    return Registry(Loaded([*others, *plugin.entries], [], [*loaded.plugins]))


def absent_components(tables: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    """Yield the components of a recipe that no installed plugin offers, misspelt ones left out."""
    for kind, name in used_components(tables):
        names = [n for e in registry.of_kind(kind) for n in (e.component.name, e.qualified)]
        if name not in names and not difflib.get_close_matches(name, names, 1, 0.8):
            yield name


def used_components(tables: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    """Yield kind and name of every component that a recipe's tables use."""
    heads: dict[str, Kind] = {
        "dataset": "dataset",
        "backbone": "backbone",
        "encoder-losses": "encoder-loss",
        "scores": "score",
    }
    for head, kind in heads.items():
        found = tables.get(head, [])
        for table in found if isinstance(found, list) else [found]:
            for part in table.get("terms", [table]):
                if isinstance(part.get("use"), str):
                    yield kind, part["use"]
