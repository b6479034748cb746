"""Find a recipe: a file, or one of those that plugins bring along. Torch-free."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from anokit.errors import UsageError
from anokit.registry.entries import ShippedRecipe
from anokit.registry.lookup import Registry

LIST = "anokit recipes"
"""The command that lists them."""


def find_recipe(given: Path, registry: Registry) -> Path:
    """Return the file that ``given`` means: a file of that path, or else a shipped recipe.

    Raises
    ------
    UsageError
        Where there is neither, with the closest names, or where several plugins ship the name.
    """
    if given.is_file():
        return given
    found = shipped_or_none(given, registry)
    if found is not None:
        return found.path
    if given.exists():
        return given  # a folder, which reading it refuses
    files = {path.stem: str(path) for path in sorted(given.parent.glob("*.toml"))}
    close = _close(given, {**{recipe.name: recipe.name for recipe in registry.recipes}, **files})
    qualified = [recipe.qualified for recipe in registry.recipes]
    close = close or difflib.get_close_matches(given.as_posix(), qualified, 1)
    text = f"{given}: no such recipe"
    if close:
        text += f", did you mean {' or '.join(close)}?"
    elif files and (given.suffix == ".toml" or given.parent != Path()):
        text += f"; in {given.parent} there are: {', '.join(files.values())}"
    if registry.recipes:
        text += f"; `{LIST}` lists those that plugins bring"
    raise UsageError(text)


def find_shipped(name: str, registry: Registry) -> ShippedRecipe:
    """Return the shipped recipe of a name, bare or as ``plugin/name``, whatever files there are.

    Raises
    ------
    UsageError
        Where there is none, with the closest names, or where several plugins ship the name.
    """
    found = shipped_or_none(Path(name), registry)
    if found is not None:
        return found
    names = {recipe.name: recipe.name for recipe in registry.recipes}
    close = _close(Path(name), names)
    did = f", did you mean {' or '.join(close)}?" if close else ""
    there = f"`{LIST}` lists them" if names else "install plugins: pip install anokit[all]"
    raise UsageError(f"{name}: no plugin brings a recipe of this name{did}; {there}")


def shipped_or_none(given: Path, registry: Registry) -> ShippedRecipe | None:
    """Return the shipped recipe of a name, None without one; `UsageError` where there are two."""
    found = registry.recipes_called(given.as_posix())
    if len(found) > 1:
        plugins = " and ".join(recipe.plugin for recipe in found)
        names = " or ".join(recipe.qualified for recipe in found)
        raise UsageError(f"recipe {str(given)!r} is shipped by {plugins}; write {names}")
    return found[0] if found else None


def _close(given: Path, names: Mapping[str, str]) -> list[str]:
    """Return what at most three names close to that of ``given`` stand for, the closest first."""
    return [names[name] for name in difflib.get_close_matches(given.stem, names, 3, 0.7)]
