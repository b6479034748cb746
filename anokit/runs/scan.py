"""``anokit scan``: rank the images of a folder, without labels or a recipe of one's own."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anokit.data.finding import expand
from anokit.errors import RecipeError, UsageError
from anokit.recipe.changes import change_tables, merge, read_toml
from anokit.recipe.finding import find_recipe
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import resolve
from anokit.recipe.toml import to_toml
from anokit.registry.lookup import Registry

RECIPE = "your_folder"
"""The recipe that is laid over a folder where no other is named."""

FOLDERS = ("image-folder", "anokit-datasets/image-folder")
"""The dataset that reads folders, bare and qualified."""

WHERE = ("root", "files", "max_train", "max_test")
"""Keys of [dataset] that say which images a recipe reads; a scan reads what it is told to."""


def scan_recipe(
    paths: Sequence[str],
    registry: Registry,
    out: Path,
    *,
    recipe: Path = Path(RECIPE),
    top: int | None = None,
    false_alarms: float | None = None,
    exclude: Path | None = None,
    settings: Sequence[str] = (),
) -> Recipe:
    """Return a recipe that ranks the images at ``paths``, written out so that it stands alone.

    Parameters
    ----------
    paths
        One folder; or image files, patterns of such, and folders.
    out
        The run directory to be, in which the recipe is then found.
    recipe
        A file, or the name of a recipe that a plugin brings, with the dataset ``image-folder``.
    top
        How many images to paint, instead of the recipe's number.
    settings
        ``KEY=VALUE``, as ``--set`` takes them; they come last.

    Raises
    ------
    UsageError
        Where there is no such recipe, file or folder.
    RecipeError
        With all that is wrong with the recipe.
    """
    found = find_recipe(recipe, registry)
    _, tables = read_toml(found)
    dataset = tables.get("dataset")
    if not isinstance(dataset, dict) or dataset.get("use") not in FOLDERS:
        got = dataset.get("use") if isinstance(dataset, dict) else dataset
        raise RecipeError(f"--recipe {recipe}: expected the dataset image-folder, got {got!r}")
    tables["dataset"] = {key: value for key, value in dataset.items() if key not in WHERE}
    changes: dict[str, Any] = {"dataset": _which(paths)}
    if top is not None:
        changes["evaluation"] = {"overlays": top}
    if false_alarms is not None:
        changes["threshold"] = {"false_alarms": false_alarms}
    if exclude is not None:
        changes["dataset"]["exclude"] = str(exclude)
    changed = change_tables(merge(tables, changes), quick=False, settings=settings)
    resolved = resolve(changed, registry, found)
    what = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    text = (
        f"# Made by: anokit scan {what}\n"
        f"# The recipe {found.stem}, with all defaults written out. It stands alone: run it\n"
        "# again, change it, or go on from its run with `anokit score` and `anokit add-scores`.\n"
        f"{to_toml(resolved.as_dict())}"
    )
    return dataclasses.replace(
        resolved,
        path=Path("scan.toml"),
        text=text,
        given=str(out / "recipe.toml"),
        plugin_files=tuple(plugin.file for plugin in registry.plugins if plugin.file),
    )


def _which(paths: Sequence[str]) -> dict[str, Any]:
    """Return the keys of [dataset] that read ``paths``."""
    paths = [str(expand(given)) for given in paths]
    if len(paths) == 1 and Path(paths[0]).is_dir():
        return {"root": paths[0]}
    files = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            files.append(str(Path(glob.escape(given)) / "**" / "*"))
        elif path.exists() or glob.has_magic(given):
            files.append(given)
        else:
            raise UsageError(
                f"{given}: no such file or folder, seen from {Path.cwd()}; name a folder of "
                "images, image files, or a pattern in quotes such as 'photos/*.jpg'"
            )
    return {"files": files}
