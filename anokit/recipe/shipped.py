"""Recipes that plugins bring along: what is said of each in a list, and copies. Torch-free."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anokit.errors import AnokitError, UsageError
from anokit.recipe.reading import load_recipe
from anokit.registry.entries import ShippedRecipe
from anokit.registry.lookup import Registry


@dataclass(frozen=True)
class AboutRecipe:
    """What a list of recipes says about one."""

    shipped: ShippedRecipe
    title: str
    data: str | None
    """where its data are looked for; None where they come with a package"""
    simulated: bool
    """whether a stand-in is drawn where the data are missing"""
    problem: str = ""
    """why it cannot be run here: most often a component that is not installed"""


def describe(shipped: ShippedRecipe, registry: Registry) -> AboutRecipe:
    """Read and check one shipped recipe; what is wrong with it becomes its ``problem``."""
    try:
        recipe = load_recipe(shipped.path, registry)
    except Exception as error:  # whatever it is, the others are listed
        text = str(error) if isinstance(error, AnokitError) else f"{type(error).__name__}: {error}"
        return AboutRecipe(shipped, _title(shipped), None, False, text)
    root = getattr(recipe.dataset.options, "root", None)
    return AboutRecipe(
        shipped,
        recipe.title,
        None if root is None else str(root),
        recipe.dataset.keys.when_missing == "simulate",
    )


def _title(shipped: ShippedRecipe) -> str:
    """Return the title of a recipe that is not right, its name where even that cannot be read."""
    try:
        return str(tomllib.loads(shipped.path.read_text(encoding="utf-8"))["title"])
    except (OSError, ValueError, KeyError):
        return shipped.name


def copy_recipe(
    shipped: ShippedRecipe, to: Path, registry: Registry, *, force: bool = False
) -> Path:
    """Copy a shipped recipe to a file, or into a folder under its own name; return the file.

    Bare names in a recipe mean first what belongs to the plugin that ships it. A copy lies
    elsewhere, so a line ``requires`` in it says the same, unless it has one already.

    Raises
    ------
    UsageError
        Where the file is there already and ``force`` is not given, or cannot be written.
    """
    target = to / shipped.path.name if to.is_dir() else to
    try:
        text = shipped.path.read_text(encoding="utf-8")
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(_requiring(text, _needed(shipped, registry)))
    except FileExistsError:
        raise UsageError(
            f"{target}: is there already; choose another place, or replace it with --force"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{target}: the recipe cannot be copied: {error}") from None
    return target


def _needed(shipped: ShippedRecipe, registry: Registry) -> list[str]:
    """Return the distributions that offer what a recipe cannot do without; none if unknown."""
    try:
        recipe = load_recipe(shipped.path, registry)
    except AnokitError:
        return []  # it does not run here; what is wrong is said where it is used
    if recipe.requires:
        return []
    # A baseline whose plugin is absent is left out, so none is needed.
    needed = dataclasses.replace(recipe, baselines=()).plugins
    return sorted(p.name for p in registry.plugins if p.name in needed and p.file is None)


def _requiring(text: str, needed: Sequence[str]) -> str:
    """Return a recipe with a line ``requires`` under the remarks that it begins with."""
    if not needed:
        return text
    lines = text.splitlines(keepends=True)
    place = next((n for n, line in enumerate(lines) if line.strip() and line[0] != "#"), len(lines))
    names = ", ".join(f'"{name}"' for name in needed)
    return "".join([*lines[:place], f"requires = [{names}]\n", *lines[place:]])
