"""What scores that were added to a run have in it, kept where the run itself is scored again.

That is done where some of a run's own scores had failed. Weights and data are then the same, so
that what added scores found still holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from anokit.errors import CheckpointError
from anokit.recipe.parts import Recipe
from anokit.registry.lookup import Registry
from anokit.results.exhibits import OF_SCORES, Terms
from anokit.results.rows import Row, read_results
from anokit.store.fitted_files import FittedFiles
from anokit.store.records import GALLERY_MAP, TRAIN_MAP, AddedScore
from anokit.store.score_table import Column, Ranking
from anokit.store.tensors import load_tensors
from anokit.training.job import Job
from anokit.watching import Watcher

MAPPED = {GALLERY_MAP: "gallery_index", TRAIN_MAP: "train_top_image"}
"""What says which images the maps are of, by the beginning of their names."""


@dataclass(frozen=True)
class AddedBefore:
    """Rows, columns and drawings of scores that were added to a run; empty where there are none."""

    rows: Sequence[Row] = ()
    warnings: Sequence[str] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    """of scores.csv"""
    ranking: Ranking | None = None
    """of training_scores.csv"""
    terms: Terms = field(default_factory=dict)
    drawn: Mapping[str, Tensor] = field(default_factory=dict)
    """what the report draws of them"""
    shown: Mapping[str, Tensor] = field(default_factory=dict)
    """which images that is of"""

    def beside(
        self, ranking: Ranking, shown: Mapping[str, Tensor], files: FittedFiles, watcher: Watcher
    ) -> AddedBefore:
        """Return what fits beside a run's own ranking and what its report shows; tell of the rest.

        Where other training images were scored, nothing does; where the report shows other images,
        maps do not.
        """
        if self.ranking is None:
            return self
        if set(self.ranking.images) != set(ranking.images):
            _tell(watcher, self.rows, "other training images are scored now")
            return AddedBefore()
        moved = [
            kind
            for kind, of in MAPPED.items()
            if any(name.startswith(f"{kind}/") for name in self.drawn)
            and not (of in shown and self.shown[of].equal(shown[of].cpu()))
        ]
        if moved:
            watcher.notice(
                f"Maps by {_listed(self.rows)} are left out, since the report shows other images "
                "now; add these scores again to draw them."
            )
        drawn = {n: t for n, t in self.drawn.items() if n.split("/")[0] not in moved}
        # Where a component is the run's own too, there is one file for both.
        rows = [
            row.model_copy(update={"fitted_files": files.renamed(row.fitted_files)})
            for row in self.rows
        ]
        return replace(self, rows=rows, drawn=drawn)


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe says that decides thresholds and figures of a score beside itself."""
    tables = {key: recipe.as_dict()[key] for key in ("threshold", "evaluation")}
    shown = ("gallery", "overlays")
    tables["evaluation"] = {k: v for k, v in tables["evaluation"].items() if k not in shown}
    return tables


def added_before(job: Job, registry: Registry) -> AddedBefore:
    """Read what scores that were added to a job's directory have there; warn where that fails.

    The place of a score that the recipe has by now is the recipe's. One that the job would judge
    or measure otherwise, or by another one-file plugin, is not kept.
    """
    directory, recipe = job.directory, job.recipe
    if not directory.finished:
        return AddedBefore()
    results = read_results(directory)
    own = {score.name for score in (*recipe.scores, *recipe.baselines)}
    rows = [row for row in results.rows if row.added and row.name not in own]
    if not rows:
        return AddedBefore()
    try:
        table = directory.read_scores().columns if job.data.test else {}
        ranking = directory.read_ranking()
        drawn = load_tensors(directory.exhibits)
        terms, added = directory.terms(), directory.added()
    except CheckpointError as error:
        _tell(job.watcher, rows, str(error))
        return AddedBefore()
    rows = _fitting(job, registry, rows, added)
    if not rows:
        return AddedBefore()
    names = {row.name for row in rows}
    return AddedBefore(
        rows,
        [text for name in sorted(names & set(added)) for text in added[name].warnings],
        {name: column for name, column in table.items() if name in names},
        Ranking(
            ranking.images,
            {name: column for name, column in ranking.columns.items() if name in names},
            {name: judged for name, judged in ranking.judged.items() if name in names},
        ),
        {name: parts for name, parts in terms.items() if name in names},
        {
            name: tensor
            for name, tensor in drawn.items()
            if name.startswith(OF_SCORES) and name.split("/")[1] in names
        },
        {name: drawn[name] for name in MAPPED.values() if name in drawn},
    )


def _fitting(
    job: Job, registry: Registry, rows: Sequence[Row], added: Mapping[str, AddedScore]
) -> list[Row]:
    """Return the rows of scores that fit beside what a job finds; tell of the others."""
    now = settings_of(job.recipe)
    used = [plugin for plugin in registry.plugins if plugin.name in job.recipe.plugins]
    files = {plugin.file.name: plugin.sha256 for plugin in used if plugin.file}
    others: dict[str, list[Row]] = {}
    for row in rows:
        entry = added.get(row.name)
        if entry is None or row.failed:
            continue
        other = [name for name, sha in entry.plugin_files.items() if files.get(name, sha) != sha]
        if other:
            others.setdefault(f"the run is scored with another {other[0]} now", []).append(row)
        elif entry.settings and entry.settings != now:
            why = "the recipe has other [threshold] or [evaluation] settings now"
            others.setdefault(why, []).append(row)
    for why, left in others.items():
        _tell(job.watcher, left, why)
    gone = {row.name for left in others.values() for row in left}
    return [row for row in rows if row.name not in gone]


def _tell(watcher: Watcher, rows: Sequence[Row], why: str) -> None:
    watcher.warning(f"{_listed(rows)}, added before, could not be kept: {why}; add them again")


def _listed(rows: Sequence[Row]) -> str:
    return ", ".join(row.name for row in rows)
