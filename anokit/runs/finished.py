"""Finished runs that score new images: in Python ``anokit.load(run).score(…)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.sets import ImageTable, Wholes, all_rows
from anokit.errors import DataError, UsageError
from anokit.results.thresholds import Calibration
from anokit.runs.files import FileReader
from anokit.runs.opened import OpenedRun, open_run
from anokit.scoring.scorer import Scorer
from anokit.store.score_table import Judged
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.types import Pieces
from anokit.watching import Advance

__all__ = ["FinishedRun", "load"]

Images = Tensor | npt.NDArray[np.uint8] | Sequence[str | Path]


class FinishedRun:
    """The backbone and the fitted scores of a finished run; made by `load`.

    Examples
    --------
    >>> import torch
    >>> import anokit
    >>> run = anokit.load("runs/digits", device="cpu")
    >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> scores = run.score(images)
    >>> {name: values.shape for name, values in scores.items()}
    {'knn': (2,)}
    >>> judged = run.judge(scores, false_alarms=0.05)["knn"]
    >>> len(judged.flagged), len(judged.p_values)
    (2, 2)
    """

    def __init__(self, opened: OpenedRun, device: torch.device) -> None:
        # Baselines are not scored here, so their plugins need not be installed.
        self.recipe = recipe = opened.recipe(baselines=[])
        self.directory = opened.directory
        self.results = opened.results
        self.plugins = [one for one in opened.registry.plugins if one.name in recipe.plugins]
        self.spec = opened.spec
        self.device = device
        self.files = FileReader(recipe.dataset, self.spec)
        self.backbone = load_backbone(recipe, self.spec, device, opened.directory.model)
        self.scorer = Scorer(
            recipe.scores, self.backbone, device, recipe.evaluation.batch_size, recipe.seed
        )
        self.scorer.load(opened.fitted, opened.results.standards)

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

    Examples
    --------
    >>> import anokit
    >>> run = anokit.load("runs/digits", device="cpu")
    >>> str(run.spec)
    '1×8×8'
    >>> anokit.load("runs/nothing")
    Traceback (most recent call last):
        ...
    anokit.errors.CheckpointError: runs/nothing: ...
    """
    opened = open_run(Path(run), plugins=plugins, trust_plugins=trust_plugins)
    return FinishedRun(opened, resolve_device(device))
