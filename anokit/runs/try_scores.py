"""``anokit try``: scores of a one-file plugin over a finished run, and nothing is written into it.

What they leave lies in a temporary directory, as if it were the run's, until the page is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anokit.data.preparing import prepare
from anokit.errors import CheckpointError, PluginError, UsageError
from anokit.recipe.changes import apply_setting
from anokit.recipe.parts import Recipe
from anokit.registry.entries import Entry, FoundPlugin
from anokit.report.reading import read_run
from anokit.report.tried import is_page, write_tried
from anokit.results.assess import Assessment
from anokit.results.exhibits import exhibits
from anokit.results.rows import Results
from anokit.runs.noting import noting
from anokit.runs.opened import OpenedRun, open_run
from anokit.runs.other_scores import table_of, with_scores
from anokit.runs.painting import draw_maps
from anokit.runs.scoring import failed_row, with_what_works
from anokit.runs.trust import recorded_plugins, used_plugins
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import save_tensors
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.training.job import Job
from anokit.watching import NOBODY, Watcher

MARK = "tried, not added: computed from the stored weights, the other results being known"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """Scores of a one-file plugin, tried over a finished run."""

    file: FoundPlugin
    run: RunDirectory
    results: Results
    """the run's, with the rows of what was tried before its own; its warnings are of these alone"""
    names: list[str]
    """of the scores that were tried and did not fail"""
    images: str
    """what ``groups`` are of, in words"""
    groups: dict[str, dict[str, Floats]]
    """by score name: values ``[N]`` of each group of images by its name"""
    flagged: dict[str, int]
    """how many training images each score flags, by its name"""
    page: Path

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, with what must be known of the run, as JSON can hold them."""
        rows = self.results.model_dump(mode="json")["rows"]
        tried = [row for row in rows if row["added"] == MARK]
        return {
            "run": str(self.run.path),
            "plugin": {"file": str(self.file.file), "sha256": self.file.sha256},
            "data": self.results.data,
            "quick": self.results.quick,
            "tried": tried,
            "beside": [row for row in rows if row not in tried],
            "warnings": self.results.warnings,
            "page": str(self.page),
        }


def try_scores(
    file: Path,
    run: Path,
    watcher: Watcher = NOBODY,
    *,
    name: str = "",
    settings: Sequence[str] = (),
    out: Path | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
) -> Tried:
    """Run the scores of a one-file plugin over a finished run; the run stays as it is.

    Parameters
    ----------
    file
        The plugin, as ``--plugin`` takes it.
    name
        The one score of it that is meant; empty for all.
    settings
        ``OPTION=VALUE`` of that score.
    out
        The page to write, instead of one in a new temporary folder.

    Raises
    ------
    UsageError
        Where the file offers no such score, the page cannot be written, or would be written over
        somebody's file or into the run.
    PluginError
        Where the file cannot be loaded, or, as `PluginFault`, where all its scores fail.
    CheckpointError
        Where the run is not finished, a file of it is damaged, or the data are no longer the same.
    RecipeError
        Where an option is wrong, or the run's backbone does not fill what a score needs.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file; expected a Python file that offers a score")
    if out is not None:
        check_page(out, run)
    opened = open_run(run, plugins=[file, *plugins], trust_plugins=trust_plugins)
    plugin = _plugin(opened, file)
    _check_same(opened, plugin)
    with noting(watcher) as told, tempfile.TemporaryDirectory(prefix="anokit-try-") as folder:
        recipe = _recipe(opened, file, _offered(opened, plugin), name, settings)
        data = prepare(recipe.dataset, recipe.seed, watcher)
        opened.directory.check_same_data(data.fingerprint)
        table = table_of(opened.directory, data.test)
        target = resolve_device(device)
        backbone = load_backbone(recipe, data.spec, target, opened.directory.model)
        aside = RunDirectory(Path(folder))
        job = Job(recipe, data, backbone, aside, target, watcher)
        job, found, _, failed = with_what_works(job, _drawn)
        results = _results(opened, recipe, job, found, failed, told)
        if table is not None:
            aside.write_scores(table.with_columns(found.columns))
        aside.write_ranking(found.ranking)
        page = out or Path(tempfile.mkdtemp(prefix="anokit-try-")) / f"{results.primary}.html"
        watcher.notice("writing the page")
        # What else lies in the folder is gone when the page is read.
        shown = replace(read_run(aside.path, results), directory=page)
        try:
            write_tried(shown, page)
        except CheckpointError as error:
            raise UsageError(f"--out {error}") from None
    images, groups = _groups(job, found)
    flagged = opened.directory.read_ranking().flagged() | found.ranking.flagged()
    names = [score.name for score in job.recipe.scores]
    return Tried(plugin, opened.directory, results, names, images, groups, flagged, page)


def check_page(out: Path, run: Path) -> None:
    """Raise `UsageError` where a page cannot be written, or something else is in its place."""
    if out.resolve().is_relative_to(run.resolve()):
        raise UsageError(f"--out {out}: lies in the run, which stays as it is; name another place")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise UsageError(f"--out {out}: cannot be written: expected a folder {out.parent} to write")
    if os.path.lexists(out) and not is_page(out):
        raise UsageError(
            f"--out {out}: is there already and no page of anokit try, and would be lost; name "
            "another file"
        )


def _plugin(opened: OpenedRun, file: Path) -> FoundPlugin:
    """Return the plugin that a file is."""
    for plugin in opened.registry.plugins:
        if plugin.file == file.resolve():
            return plugin
    problem = next((p for p in opened.registry.problems if p.plugin == file.stem), None)
    why = problem.message if problem else "it holds no plugin"
    why = f"{why}; {problem.hint}" if problem and problem.hint else why
    raise PluginError(f"{file}: {why}")


def _offered(opened: OpenedRun, plugin: FoundPlugin) -> list[Entry]:
    """Return the scores that a plugin offers."""
    known = (plugin.name, plugin.version)
    own = [entry for entry in opened.registry.entries if (entry.plugin, entry.version) == known]
    scores = [entry for entry in own if entry.kind == "score"]
    if not scores:
        there = ", ".join(f"{entry.kind} {entry.component.name}" for entry in own)
        raise UsageError(
            f"{plugin.file}: offers no score, but {there or 'recipes'}; only scores can be tried"
        )
    return scores


def _recipe(
    opened: OpenedRun, file: Path, offered: Sequence[Entry], name: str, settings: Sequence[str]
) -> Recipe:
    """Return the run's recipe with the scores that are meant in place of its own."""
    meant = [entry for entry in offered if name in ("", entry.component.name)]
    names = ", ".join(entry.component.name for entry in offered)
    if not meant:
        raise UsageError(f"--name {name}: {file} offers no such score; it offers: {names}")
    if settings and len(meant) > 1:
        raise UsageError(f"--set: {file} offers {names}; say which one is meant with --name")
    options: dict[str, Any] = {}
    for setting in settings:
        apply_setting(options, setting)
    if wrong := sorted({"use", "name", "terms"} & set(options)):
        raise UsageError(f"--set {wrong[0]}: is no option of a score")
    taken = {row.name for row in opened.results.rows}
    return with_scores(
        opened,
        [
            {**options, "use": entry.qualified, "name": _free(entry.component.name, taken)}
            for entry in meant
        ],
        file,
    )


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no score of the run has."""
    return name if name not in taken else _free(f"{name}-tried", taken)


def _check_same(opened: OpenedRun, plugin: FoundPlugin) -> None:
    """Refuse a file in whose place the run's data or backbone need another of the same name."""
    parts = ("dataset", "backbone", "encoder-losses")
    needed = set(used_plugins({key: opened.tables[key] for key in parts}))
    recorded = recorded_plugins(opened.directory, {})
    name = f"{plugin.name}.py"
    if plugin.name in needed and recorded.get(name, plugin.sha256) != plugin.sha256:
        raise UsageError(
            f"{plugin.file}: the run's data or backbone need another {name} (SHA-256 "
            f"{recorded[name][:12]}, this one {plugin.sha256[:12]}); rename yours"
        )


def _drawn(job: Job, found: Assessment) -> None:
    """Write what the page draws from."""
    shown = exhibits(job, found)
    save_tensors(job.directory.exhibits, shown | draw_maps(job, found, shown, found.ranking))


def _results(
    opened: OpenedRun,
    recipe: Recipe,
    job: Job,
    found: Assessment,
    failed: Mapping[str, str],
    told: Sequence[str],
) -> Results:
    """Return the run's results with what was tried before its own."""
    measured = {row.name: row for row in found.rows}
    rows = [
        measured.get(score.name) or failed_row(score.name, job, failed.get(score.name, ""))
        for score in recipe.scores
    ]
    changes = {
        "primary": job.recipe.primary.name,
        "rows": [
            *(row.model_copy(update={"added": MARK}) for row in rows),
            *(row for row in opened.results.rows if not row.failed),
        ],
        "warnings": [*told, *found.warnings],
        "selection": opened.results.selection.model_copy(
            update={"threshold": found.threshold_rule}
        ),
        "refined": None,
        "explanations": [],
    }
    return opened.results.model_copy(update=changes)


def _groups(job: Job, found: Assessment) -> tuple[str, dict[str, dict[str, Floats]]]:
    """Return what a histogram is of, in words, and the values of each group by score name."""
    test = job.data.test
    if test is None:
        columns = found.training.columns
        return "training images", {name: {"all": values} for name, values in columns.items()}
    if test.labels is None:
        return "test images", {name: {"all": values} for name, values in found.columns.items()}
    labels = test.labels[test.wholes.first]
    parts = {"normal": labels == 0, "anomalous": labels == 1, "unlabelled": labels < 0}
    there = {group: where for group, where in parts.items() if where.any()}
    return "test images", {
        name: {group: values[where] for group, where in there.items()}
        for name, values in found.columns.items()
    }
