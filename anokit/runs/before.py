"""What a run keeps of the one whose suspects it leaves out: the list, and both sets of figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anokit.data.choosing import read_list
from anokit.data.sets import RunData
from anokit.errors import CheckpointError, UsageError
from anokit.recipe.parts import Recipe
from anokit.results.before import Before, Side, moved
from anokit.results.rows import Results, read_results
from anokit.store.exclude_list import origin_of
from anokit.store.run_directory import RunDirectory


def keep_list(directory: RunDirectory, recipe: Recipe) -> None:
    """Copy the list of images that the recipe leaves out, if any, into the run's directory."""
    path = recipe.dataset.keys.exclude
    if path is None:
        return
    text = read_list(Path(path))
    directory.write_text(directory.exclude.name, text)


def list_of(directory: RunDirectory) -> Path | None:
    """Return the copy of the list that a run began with; None where it began with none.

    Whoever goes on with it may have edited the list since, for a further run.
    """
    return directory.exclude if directory.begun and directory.exclude.exists() else None


def compare_with_former(directory: RunDirectory, data: RunData, results: Results) -> Before | None:
    """Write before.json where the list of images left out names the run that it comes from.

    Returns what it says. A former run that is gone, or cannot be read, is said to be.
    """
    if not directory.exclude.exists():
        return None
    origin = origin_of(directory.exclude.read_text(encoding="utf-8"))
    if origin is None:
        return None
    found = Before(run=str(origin), left_out=len(data.excluded))
    try:
        former = RunDirectory(origin)
        figures = read_results(former)  # first, which undoes what was stopped
        ranks, own = former.read_ranking(), directory.read_ranking()
        found = found.model_copy(
            update={
                "before": Side.of(figures, ranks),
                "after": Side.of(results, own),
                "moved": moved(ranks, own, set(data.excluded)),
                "differences": _differences(former, directory),
            }
        )
    except (CheckpointError, UsageError, KeyError, StopIteration) as error:
        found = found.model_copy(update={"missing": str(error)})
    directory.write_json(directory.before.name, found.model_dump(mode="json"))
    return found


def _differences(former: RunDirectory, directory: RunDirectory) -> list[str]:
    """Return in what the runs differ beside the images that are left out."""
    one, other = (_tables(run.resolved()) for run in (former, directory))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    tests = [
        list(run.read_scores().ids) if run.table.exists() else [] for run in (former, directory)
    ]
    return [*names, *(["test set"] if tests[0] != tests[1] else [])]


def _tables(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides about figures of a resolved recipe."""
    beside = ("title", "requires", "published", "baselines")
    kept = {name: value for name, value in resolved.items() if name not in beside}
    dataset = {name: value for name, value in kept["dataset"].items() if name != "exclude"}
    return {**kept, "dataset": dataset}
