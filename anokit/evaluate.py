"""Further scores of a finished run, from its stored weights and its own data: nothing is trained.

What the run measured stays as it was; what is added is marked, since whoever adds a score has seen
the results of the others.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anokit import checkpoints
from anokit.assess import Assessment, assess
from anokit.console import Console
from anokit.datasets import RunData, prepare
from anokit.device import resolve_device
from anokit.errors import CheckpointError, RecipeError
from anokit.models import load_model
from anokit.recipe import Recipe, read_toml
from anokit.registry import Registry
from anokit.resolve import resolve
from anokit.rundir import RunDirectory
from anokit.version import __version__

FITTED = "added"
"""Folder of a run directory that holds what added scores learned."""


def evaluate(
    run: Path,
    scores: Path,
    console: Console,
    *,
    device: str = "auto",
    plugins: Sequence[Path] = (),
) -> RunDirectory:
    """Add the ``[[scores]]`` of a TOML file to a finished run: its results, scores.csv and report.

    Raises
    ------
    CheckpointError
        Where the run is not finished, a file of it is damaged, or the data are no longer the same.
    RecipeError
        With all that is wrong with the scores: one that the backbone cannot feed, a name that the
        run has already, a key that is not ``scores``.
    """
    from anokit.report import write_report

    directory = RunDirectory(run)
    stored = directory.read_json("resolved.json")
    if not directory.finished or not directory.model.exists():
        raise CheckpointError(f"{run}: this run is not finished; go on with anokit run … --resume")
    kept = [path for path in sorted(run.glob("*.py")) if path.stem not in {p.stem for p in plugins}]
    recipe = _recipe(stored, scores, Registry.load([*plugins, *kept]))
    with directory.locked():
        results = directory.read_json("results.json")
        _check_names(recipe, results, scores)
        data = prepare(recipe.dataset, recipe.seed, console.notice)
        _check_data(directory, data)
        target = resolve_device(device)
        model = load_model(recipe, data.spec, target, directory.model)
        found = assess(recipe, data, model, target, run / FITTED, console.track)
        console.track_done()
        results = _add(directory, results, recipe, data, found)
        console.notice("writing the report")
        write_report(run)
    console.results(results, directory)
    return directory


def _recipe(stored: Mapping[str, Any], path: Path, registry: Registry) -> Recipe:
    """Return the run's own recipe with the scores of ``path`` in place of its own."""
    _, tables = read_toml(path)
    other = sorted(set(tables) - {"scores"})
    if other or not tables.get("scores"):
        got = f"got {', '.join(other)}" if other else "got none"
        raise RecipeError(
            f"{path}: expected [[scores]] alone, {got}; all else is the finished run's own"
        )
    quick = bool(stored.get("quick", False))
    whole = {key: value for key, value in stored.items() if key != "quick"}
    whole |= {"scores": tables["scores"], "baselines": [], "published": {}, "requires": []}
    return resolve(whole, registry, path, quick=quick)


def _check_names(recipe: Recipe, results: Mapping[str, Any], path: Path) -> None:
    taken = {row["name"] for row in results["rows"]} & {score.name for score in recipe.scores}
    if taken:
        raise RecipeError(
            f"{path}: the run has scores called {', '.join(sorted(taken))} already; give yours "
            'another name = "…"'
        )


def _check_data(directory: RunDirectory, data: RunData) -> None:
    stored = str(directory.read_json("split.json")["fingerprint"])
    if stored != data.fingerprint:
        raise CheckpointError(
            f"{directory.path}: the data are not those of the run (fingerprint {stored[:12]}, now "
            f"{data.fingerprint[:12]}), so scores could not be compared; restore them or run anew"
        )


def _add(
    directory: RunDirectory,
    results: Mapping[str, Any],
    recipe: Recipe,
    data: RunData,
    found: Assessment,
) -> dict[str, Any]:
    """Write what was found beside what the run has; results.json comes last."""
    today = dt.date.today().isoformat()
    mark = f"added later ({today}): computed from the stored weights, the other results being known"
    rows = [{**row, "added": mark} for row in found.rows]
    if data.test:
        _add_columns(directory, data.test.ids, found)
    _merge_json(directory, "terms.json", found.terms)
    drawn = directory.path / "report.safetensors"
    terms = {name: value for name, value in found.tensors.items() if name.startswith("term/")}
    if terms and drawn.exists():
        checkpoints.save_tensors(drawn, {**checkpoints.load_tensors(drawn), **terms})
    plugins = {t.entry.plugin: t.entry.version for score in recipe.scores for t in score.terms}
    entry = {
        "date": today,
        "anokit": __version__,
        "plugins": plugins,
        "threshold": found.threshold_rule,
        "scores": [score.as_dict() for score in recipe.scores],
    }
    _merge_json(directory, "added.json", {score.name: entry for score in recipe.scores})
    whole = {
        **results,
        "rows": [*results["rows"], *rows],
        "warnings": [*results["warnings"], *found.warnings],
    }
    directory.write_json("results.json", whole)
    return whole


def _merge_json(directory: RunDirectory, name: str, new: Mapping[str, Any]) -> None:
    old = directory.read_json(name) if (directory.path / name).exists() else {}
    directory.write_json(name, {**old, **new})


def _add_columns(directory: RunDirectory, ids: Sequence[str], found: Assessment) -> None:
    """Add the new scores to scores.csv as columns."""
    path = directory.path / "scores.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *lines = list(csv.reader(file))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None
    if [line[0] for line in lines] != list(ids):
        raise CheckpointError(f"{path}: damaged: its ids are not those of the test set")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*head, *found.columns])
    for row, line in enumerate(lines):
        writer.writerow([*line, *(repr(float(values[row])) for values in found.columns.values())])
    directory.write_text("scores.csv", text.getvalue())
