"""Finished runs: opened for every command on one, and in Python ``anokit.load(run).score(…)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.sets import ImageTable, Wholes, all_rows
from anokit.errors import CheckpointError, DataError, UsageError
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.results.rows import Results, read_results
from anokit.results.thresholds import Calibration
from anokit.runs.files import FileReader
from anokit.runs.trust import kept_plugins, used_plugins
from anokit.scoring.scorer import Scorer
from anokit.store.records import AddedScore
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import Judged
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.types import ImageSpec, Pieces
from anokit.watching import Advance

__all__ = ["FinishedRun", "OpenedRun", "load", "open_run"]

Images = Tensor | npt.NDArray[np.uint8] | Sequence[str | Path]


@dataclass(frozen=True)
class OpenedRun:
    """A finished run directory, read: what every command on a finished run begins with."""

    directory: RunDirectory
    tables: Mapping[str, Any]
    """the resolved recipe; added scores are among its own"""
    quick: bool
    added: Mapping[str, AddedScore]
    """what is recorded of scores that were added later, by name"""
    registry: Registry
    results: Results

    @property
    def spec(self) -> ImageSpec:
        """Return the shape of the run's images."""
        found = self.directory.split().spec
        return ImageSpec(found.channels, found.height, found.width)

    def recipe(self, path: Path | None = None, **changes: Any) -> Recipe:
        """Return the run's recipe with top-level tables changed, as if read from ``path``.

        Raises
        ------
        RecipeError
            Where a component that the recipe needs is not installed, or a change is wrong.
        """
        source = path or self.directory.path / "resolved.json"
        tables, own = {**self.tables, **changes}, frozenset(used_plugins(self.tables))
        return resolve(tables, self.registry, source, quick=self.quick, recorded=own)


def open_run(run: Path, *, plugins: Sequence[Path] = (), trust_plugins: bool = False) -> OpenedRun:
    """Open a finished run directory.

    Parameters
    ----------
    run
        The directory.
    plugins
        One-file plugins, as ``--plugin`` takes them; they take the place of those of the same name
        that the run keeps.
    trust_plugins
        Whether the one-file plugins that the run keeps may be executed.

    Raises
    ------
    CheckpointError
        Where the run is not finished or a file in it is damaged.
    UsageError
        Where the run needs one-file plugins that are neither given nor trusted.
    """
    directory = RunDirectory(run)
    tables = directory.resolved()
    if not directory.finished or not directory.model.exists():
        raise CheckpointError(
            f"{run}: this run is not finished; go on with: anokit run … --resume {run}"
        )
    if directory.exclude.exists():
        # The list that it was made from may have been changed since, for a further run.
        tables["dataset"] = {**tables["dataset"], "exclude": str(directory.exclude)}
    results = read_results(directory)
    directory.check_hashes(results.files)
    quick = bool(tables.pop("quick", False))
    rows = {row.name for row in results.rows}
    # One without a row was being added when the process was killed.
    added = {name: entry for name, entry in directory.added().items() if name in rows}
    tables["scores"] = [*tables["scores"], *(entry.score for entry in added.values())]
    failed = set(results.failed)
    for kind in ("scores", "baselines"):
        tables[kind] = [one for one in tables.get(kind, []) if one["name"] not in failed]
    kept = kept_plugins(directory, tables, added, plugins, trust_plugins)
    return OpenedRun(directory, tables, quick, added, Registry.load(plugins, kept), results)


class FinishedRun:
    """The backbone and the fitted scores of a finished run; made by `load`."""

    def __init__(self, opened: OpenedRun, device: torch.device) -> None:
        # Baselines are not scored here, so their plugins need not be installed.
        self.recipe = recipe = opened.recipe(baselines=[])
        self.directory = opened.directory
        self.results = opened.results
        self.spec = opened.spec
        self.device = device
        self.files = FileReader(recipe.dataset, self.spec)
        self.backbone = load_backbone(recipe, self.spec, device, opened.directory.model)
        self.scorer = Scorer(
            recipe.scores, self.backbone, device, recipe.evaluation.batch_size, recipe.seed
        )
        self.scorer.load(opened.directory.scores)
        scales = {row.name: row.scales for row in opened.results.rows}
        self.scorer.standards = {name: found for name, found in scales.items() if found}

    @property
    def thresholds(self) -> dict[str, float]:
        """Return the threshold of every score, chosen on training images without labels."""
        rows = {row.name: row.threshold for row in self.results.rows}
        return {s.name: float(t) for s in self.recipe.scores if (t := rows[s.name]) is not None}

    def calibrations(self, false_alarms: float | None = None) -> dict[str, Calibration]:
        """Return what every score judges by: scores of training images, without labels.

        ``false_alarms``, in (0, 1), takes the place of the recipe's rate; nothing is fitted anew.

        Raises
        ------
        UsageError
            Where ``false_alarms`` is out of its range.
        CheckpointError
            Where training_scores.csv is missing or damaged.
        """
        settings = self.recipe.threshold
        if false_alarms is not None:
            check_share("false alarms", false_alarms)
            settings = settings.model_copy(update={"false_alarms": false_alarms})
        ranking, held = self.directory.read_ranking(), self.directory.split().validation
        chosen = ranking.among(held)
        return {
            s.name: Calibration.of(ranking.columns[s.name][chosen], settings)
            for s in self.recipe.scores
        }

    def judge(
        self, scores: Mapping[str, npt.ArrayLike], *, false_alarms: float | None = None
    ) -> dict[str, Judged]:
        """Return which images with these ``scores`` (``[N]`` by name) are flagged, and p-values.

        Every score has its own threshold. ``false_alarms`` and errors are as in `calibrations`.
        """
        by = self.calibrations(false_alarms)
        return {name: by[name].judge(values) for name, values in scores.items()}

    def read(self, path: Path) -> Tensor:
        """Return an image file as this run's networks take it: uint8 ``[C, H, W]``.

        It is read as the run's dataset reads its own files where that dataset can tell, and
        otherwise converted to the channels and stretched to the size of the training images.

        Raises
        ------
        DataError
            Where the file is no image that can be read.
        """
        pieces = self.files.pieces(path)
        if len(pieces.images) > 1:
            raise DataError(
                f"{path}: makes {len(pieces.images)} tiles, expected one image; use `pieces`"
            )
        return pieces.images[0]

    def pieces(self, path: Path) -> Pieces:
        """Return an image file as this run's networks take it, cut into tiles where it is.

        Raises
        ------
        DataError
            Where the file is no image that can be read, or one that does not fit.
        """
        return self.files.pieces(path)

    def score(
        self, images: Images, advance: Advance | None = None
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Score images that the run has not seen.

        Parameters
        ----------
        images
            uint8 ``[N, C, H, W]`` of the run's shape, or paths of image files. The score of a
            file that is cut into tiles is the largest of theirs.
        advance
            Called with the number of images done since the last call.

        Returns
        -------
        dict
            ``[N]`` by score name, higher = more anomalous. The score of an image does not depend
            on the others.

        Raises
        ------
        DataError
            Where type or shape do not fit, or a file cannot be read.
        """
        parents = None
        if not isinstance(images, (Tensor, np.ndarray)):
            images, parents = self._read(images)
        table = self._table(images)
        wholes = Wholes.of([str(row) for row in range(len(table))], parents)
        scored = self.scorer.compute(table, all_rows(len(table)), advance=advance)
        return {
            s.name: wholes.largest(self.scorer.combine(s, scored.values))
            for s in self.recipe.scores
        }

    def maps(self, images: Images, score: str = "") -> npt.NDArray[np.float32] | None:
        """Return per-pixel maps ``[N, H, W]`` of one score (the primary one by default).

        None where the score has no map. Raises `DataError` as `score` does, and for a score that
        the run does not have.
        """
        names = [s.name for s in self.recipe.scores]
        if score and score not in names:
            raise DataError(f"{self.directory.path}: no score {score!r}; there are: {names}")
        chosen = self.recipe.scores[names.index(score) if score else 0]
        if not isinstance(images, (Tensor, np.ndarray)):
            images = self._stack([self.read(Path(path)) for path in images])
        table = self._table(images)
        return self.scorer.maps(chosen, table, all_rows(len(table)))

    def _read(self, paths: Sequence[str | Path]) -> tuple[Tensor, list[str]]:
        """Return the pieces of files, one after the other, and the place of each one's file."""
        found = [self.pieces(Path(path)).images for path in paths]
        parents = [str(place) for place, images in enumerate(found) for _ in images]
        return self._stack([image for images in found for image in images]), parents

    def _stack(self, images: Sequence[Tensor]) -> Tensor:
        shape = (0, self.spec.channels, self.spec.height, self.spec.width)
        return torch.stack(list(images)) if images else torch.empty(shape, dtype=torch.uint8)

    def _table(self, images: Tensor | npt.NDArray[np.uint8]) -> ImageTable:
        shape = (self.spec.channels, self.spec.height, self.spec.width)
        dtype = str(images.dtype).removeprefix("torch.")
        if dtype != "uint8" or images.ndim != 4 or tuple(images.shape[1:]) != shape:
            raise DataError(
                f"images to score: expected uint8 [N, {', '.join(map(str, shape))}], "
                f"got {dtype} {list(images.shape)}"
            )
        return ImageTable([images])


def check_share(what: str, share: float) -> None:
    """Raise `UsageError` where ``share`` is not above 0 and below 1."""
    if not 0 < share < 1:
        raise UsageError(f"{what}: expected a share above 0 and below 1, got {share:g}")


def load(
    run: str | Path,
    *,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
) -> FinishedRun:
    """Load a finished run directory, so that it can score new images.

    Nothing inside a run directory is executed unless it is trusted: a run that was made with
    one-file plugins needs them in ``plugins``, as ``--plugin`` takes them, or ``trust_plugins``,
    which takes the copies in the directory whose hashes the run recorded.

    Raises
    ------
    CheckpointError
        Where the directory is no finished run or a file in it is damaged.
    UsageError
        Where the run needs one-file plugins that are neither given nor trusted.
    RecipeError
        Where a component that the run needs is not installed.
    """
    opened = open_run(Path(run), plugins=plugins, trust_plugins=trust_plugins)
    return FinishedRun(opened, resolve_device(device))
