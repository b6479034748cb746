"""Sweeps: one TOML file that multiplies recipes with values of options. Torch-free."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anokit.errors import AnokitError, RecipeError
from anokit.recipe.checks import Faults
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import load_recipe
from anokit.recipe.sweep_tables import Layout, SweepTables, read_sweep_tables
from anokit.recipe.toml import flat, label_of, toml_value
from anokit.registry.lookup import Registry

NOT_AN_AXIS = ("scores", "baselines", "published", "title", "requires", "quick")
"""Tables of a recipe that no axis may vary: one training serves all scores, the rest is words."""

RECIPE, VARIANT = NAMED = ("recipe", "variant")
"""Axes that are no keys of recipes."""

SHOWN_FAULTS = 5
"""Cells whose faults are told in full."""

KEPT = "recipes"
"""Folder beside a sweep file in which its recipes are looked for first; sweeps keep them there."""

LONGEST_NAME = 120
"""Characters of a cell's name; a longer one is cut and told apart by a hash."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep."""

    name: str
    """names its run directory"""
    recipe: Recipe
    values: Mapping[str, Any]
    """of the axes, ``recipe`` among them"""


@dataclass(frozen=True)
class Sweep:
    """A sweep file that was read and found right, cell by cell."""

    path: Path
    text: str
    title: str
    threads: int | None
    cells: tuple[Cell, ...]
    layout: Layout | None
    quick: bool

    @property
    def name(self) -> str:
        """Return what the sweep's folder is named for: the stem of the file, and how it is read."""
        return f"{self.path.stem}-quick" if self.quick else self.path.stem


def kind_of(cell: Cell) -> str:
    """Return what cells share that cost the same: all axes but seed and contamination."""
    apart = ("seed", "dataset.contamination")
    return repr(sorted((k, str(v)) for k, v in cell.values.items() if k not in apart))


def load_sweep(path: Path, registry: Registry, *, quick: bool = False) -> Sweep:
    """Read a sweep file and check every cell of it, without data or networks.

    ``quick`` lays the sweep's and each recipe's own ``[quick]`` table over them.

    Raises
    ------
    RecipeError, UsageError
        With all that is wrong.
    """
    text, tables = read_sweep_tables(path, quick=quick)
    faults = Faults()
    axes = _axes(tables, faults)
    faults.raise_if_any(path)
    chosen = [values for values in _products(axes) if not _skipped(values, tables, faults)]
    faults.raise_if_any(path)
    if not chosen:
        raise RecipeError(f"{path}: skip: leaves out every cell; nothing is left to run")
    names = _names(chosen)
    used = {Path(str(values["recipe"])).stem for values in chosen}
    known = ", ".join(sorted(used))
    for name in sorted(set(tables.recipes) - used):
        faults.add(f"recipes.{name}", f"is no recipe of the matrix; there are: {known}")
    _check_layout(tables, used, {str(one) for one in axes.get(VARIANT, [])}, faults)
    cells: list[Cell] = []
    wrong: dict[str, str] = {}
    for name, values in zip(names, chosen, strict=True):
        try:
            cells.append(Cell(name, _recipe(path, tables, values, registry, quick), values))
        except AnokitError as error:
            wrong.setdefault(str(error), name)
    for what, name in list(wrong.items())[:SHOWN_FAULTS]:
        faults.add(f"cell {name}", what)
    if len(wrong) > SHOWN_FAULTS:
        faults.add("…", f"{len(wrong) - SHOWN_FAULTS} more of other kinds")
    faults.raise_if_any(path)
    return Sweep(
        path, text, tables.title or path.stem, tables.threads, tuple(cells), tables.layout, quick
    )


def _check_layout(
    tables: SweepTables, recipes: set[str], variants: set[str], faults: Faults
) -> None:
    """Add a fault for every row and column of a layout that names what the matrix has not."""
    if tables.layout is None:
        return
    for selector in [*tables.layout.rows, *tables.layout.columns]:
        where = f"layout: {selector.name}"
        for name in sorted(set(selector.recipes or ()) - recipes):
            there = ", ".join(sorted(recipes))
            faults.add(where, f"{name!r} is no recipe; there are: {there}")
        if selector.variant is not None and selector.variant not in variants:
            there = ", ".join(sorted(variants)) or "none"
            faults.add(where, f"{selector.variant!r} is no variant of the matrix; there: {there}")


def _axes(tables: SweepTables, faults: Faults) -> dict[str, list[Any]]:
    """Return the values of each axis by its dotted key."""
    axes: dict[str, list[Any]] = {}
    for key, values in flat(tables.matrix):
        where = f"matrix.{key}"
        table = key.split(".")[0]
        if table in NOT_AN_AXIS:
            faults.add(where, f"{table!r} is no axis: one training serves every score of a recipe")
        elif not isinstance(values, list) or not values:
            faults.add(where, f"expected a list of values, got {values!r}")
        elif any(isinstance(value, dict) for value in values):
            faults.add(where, "expected plain values, not tables")
        elif len({repr(value) for value in values}) < len(values):
            faults.add(where, "names a value twice")
        else:
            axes[key] = values
    if not isinstance(tables.matrix.get("recipe"), list):
        if "recipe" not in tables.matrix:
            faults.add("matrix.recipe", "is missing: a list of recipe files or names")
    elif not all(isinstance(name, str) for name in axes.get("recipe", [])):
        faults.add("matrix.recipe", "expected names or paths of recipes")
    elif len(stems := [Path(name).stem for name in axes.get("recipe", [])]) > len(set(stems)):
        twice = next(name for name in stems if stems.count(name) > 1)
        faults.add("matrix.recipe", f"has two recipes called {twice!r}; give one another name")
    listed, there = axes.get(VARIANT, []), ", ".join(tables.variants) or "none"
    for name in listed:
        if name not in tables.variants:
            faults.add(f"matrix.{VARIANT}", f"{name!r} has no [variants.…]; there are: {there}")
    for name in tables.variants:
        if name not in listed:
            faults.add(f"variants.{name}", f"is not used; list it in [matrix] {VARIANT}")
    return axes


def _products(axes: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the values of each cell; the recipe changes slowest, the seed fastest."""
    order = {RECIPE: 0, "seed": 2}
    keys = sorted(axes, key=lambda key: order.get(key, 1))
    for values in itertools.product(*(axes[key] for key in keys)):
        yield dict(zip(keys, values, strict=True))


def _skipped(values: Mapping[str, Any], tables: SweepTables, faults: Faults) -> bool:
    for number, rule in enumerate(tables.skip):
        wanted = dict(flat(rule))
        for key in sorted(set(wanted) - set(values)):
            faults.add(f"skip.{number}.{key}", f"is no axis; there are: {', '.join(values)}")
        if wanted and all(key in values and values[key] == one for key, one in wanted.items()):
            return True
    return False


def _names(chosen: list[dict[str, Any]]) -> list[str]:
    """Return what each cell is called; names that a file system would take for one are told apart.

    All axes are in it, so that a sweep may grow by a value and its old cells keep their names.
    """
    names = []
    for values in chosen:
        words = [Path(str(values["recipe"])).stem]
        for key, value in values.items():
            if key != "recipe":
                words.append(f"{label_of(key, values)}-{value}")
        name = re.sub(r"[^A-Za-z0-9._+-]+", "-", "_".join(words)).strip("-.")
        names.append(name)
    folded = [name.casefold() for name in names]
    return [
        _told_apart(name, values)
        if folded.count(name.casefold()) > 1 or len(name) > LONGEST_NAME
        else name
        for name, values in zip(names, chosen, strict=True)
    ]


def _told_apart(name: str, values: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(repr(sorted(values.items(), key=lambda one: one[0])).encode())
    return f"{name[: LONGEST_NAME - 9]}-{digest.hexdigest()[:8]}"


def _recipe(
    path: Path, tables: SweepTables, values: Mapping[str, Any], registry: Registry, quick: bool
) -> Recipe:
    given = str(values["recipe"])
    kept = path.parent / KEPT / f"{Path(given).stem}.toml"
    near = [one for one in (kept, path.parent / given) if one.is_file()]
    if near:
        given = os.path.relpath(near[0]) if near[0].is_absolute() else os.path.normpath(near[0])
    own = tables.recipes.get(Path(given).stem, {})
    variant = tables.variants[values[VARIANT]] if VARIANT in values else {}
    threads = {"training.threads": tables.threads} if tables.threads else {}
    changes = {**threads}
    for table in (tables.set, own, variant):
        changes |= dict(flat(table))
    changes |= {key: value for key, value in values.items() if key not in NAMED}
    settings = [f"{key}={toml_value(value)}" for key, value in changes.items()]
    return load_recipe(Path(given), registry, quick=quick, settings=settings)
