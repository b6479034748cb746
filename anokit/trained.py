"""A finished run in Python: ``anokit.load(run).score(images)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from anokit.datasets import ImageTable
from anokit.device import resolve_device
from anokit.errors import CheckpointError, DataError
from anokit.faults import blame
from anokit.models import load_model
from anokit.recipe import Recipe
from anokit.registry import Registry
from anokit.resolve import resolve
from anokit.rundir import RunDirectory
from anokit.scoring import Scorer, all_rows
from anokit.trips import Advance
from anokit.types import ImageSpec

__all__ = ["TrainedRun", "load"]


class TrainedRun:
    """The model and the fitted scores of a finished run; made by `load`."""

    def __init__(
        self, directory: RunDirectory, recipe: Recipe, spec: ImageSpec, device: torch.device
    ) -> None:
        self.directory = directory
        self.recipe = recipe
        self.spec = spec
        self.device = device
        self.results = directory.read_json("results.json")
        self.model = load_model(recipe, spec, device, directory.model)
        self.scorer = Scorer(
            recipe.scores, self.model, device, recipe.evaluation.batch_size, recipe.seed
        )
        self.scorer.load(directory.scores)

    @property
    def thresholds(self) -> dict[str, float]:
        """Return the threshold of every score, chosen on training images without labels."""
        rows = {row["name"]: row["threshold"] for row in self.results["rows"]}
        return {score.name: float(rows[score.name]) for score in self.recipe.scores}

    def read(self, path: Path) -> Tensor:
        """Return an image file as this run's networks take it: uint8 ``[C, H, W]``.

        It is read as the run's dataset reads its own files where that dataset can tell, and
        otherwise converted to the channels and stretched to the size of the training images.

        Raises
        ------
        DataError
            Where the file is no image that can be read.
        """
        make = self.recipe.dataset.entry.component.load_reader()
        with blame(self.recipe.dataset.entry, f"reading {path}"):
            image = (
                make(self.recipe.dataset.options, self.spec)(path)
                if make
                else stretch_image(path, self.spec)
            )
        return torch.as_tensor(image)

    def score(
        self,
        images: Tensor | npt.NDArray[np.uint8] | Sequence[str | Path],
        advance: Advance | None = None,
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Score images that the run has not seen.

        Parameters
        ----------
        images
            uint8 ``[N, C, H, W]`` of the run's shape, or paths of image files.
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
        table = self._table(images)
        scored = self.scorer.compute(table, all_rows(len(table)), advance=advance)
        return {s.name: self.scorer.combine(s, scored.values) for s in self.recipe.scores}

    def maps(
        self, images: Tensor | npt.NDArray[np.uint8] | Sequence[str | Path], score: str = ""
    ) -> npt.NDArray[np.float32] | None:
        """Return per-pixel maps ``[N, H, W]`` of one score (the primary one by default).

        None where the score has no map. Raises `DataError` as `score` does, and for a score that
        the run does not have.
        """
        names = [s.name for s in self.recipe.scores]
        if score and score not in names:
            raise DataError(f"{self.directory.path}: no score {score!r}; there are: {names}")
        chosen = self.recipe.scores[names.index(score) if score else 0]
        table = self._table(images)
        return self.scorer.maps(chosen, table, all_rows(len(table)))

    def _table(self, images: Tensor | npt.NDArray[np.uint8] | Sequence[str | Path]) -> ImageTable:
        shape = (self.spec.channels, self.spec.height, self.spec.width)
        if not isinstance(images, (Tensor, np.ndarray)):
            images = (
                torch.stack([self.read(Path(p)) for p in images])
                if len(images)
                else (torch.empty((0, *shape), dtype=torch.uint8))
            )
        dtype = str(images.dtype).removeprefix("torch.")
        if dtype != "uint8" or images.ndim != 4 or tuple(images.shape[1:]) != shape:
            raise DataError(
                f"images to score: expected uint8 [N, {', '.join(map(str, shape))}], "
                f"got {dtype} {list(images.shape)}"
            )
        return ImageTable([images])


def load(run: str | Path, *, device: str = "auto", plugins: Sequence[Path] = ()) -> TrainedRun:
    """Load a finished run directory, so that it can score new images.

    ``plugins`` are one-file plugins, as ``--plugin`` takes them; those that the run was made with
    are found in its directory.

    Raises
    ------
    CheckpointError
        Where the directory is no finished run or a file in it is damaged.
    RecipeError
        Where a component that the run needs is not installed.
    """
    directory = RunDirectory(Path(run))
    resolved = directory.read_json("resolved.json")
    if not directory.finished or not directory.model.exists():
        raise CheckpointError(
            f"{run}: this run is not finished; go on with anokit run … --resume {run}"
        )
    quick = bool(resolved.pop("quick", False))
    resolved["baselines"] = []  # not scored here, so their plugins need not be installed
    files = [*plugins, *sorted(Path(run).glob("*.py"))] if not plugins else list(plugins)
    recipe = resolve(resolved, Registry.load(files), Path(run) / "resolved.json", quick=quick)
    spec = ImageSpec(**directory.read_json("split.json")["spec"])
    return TrainedRun(directory, recipe, spec, resolve_device(device))


def stretch_image(path: Path, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Read an image file, convert it to ``spec``'s channels and stretch it to its size.

    Raises
    ------
    DataError
        Where the file is no image that can be read, or the channels are not 1, 3 or 4.
    """
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if spec.channels not in modes:
        raise DataError(f"{path}: an image file cannot be made into {spec.channels} channels")
    try:
        with Image.open(path) as image:
            fitted = image.convert(modes[spec.channels]).resize(
                (spec.width, spec.height), Image.Resampling.BILINEAR
            )
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: cannot be read as an image: {error}") from None
    pixels = np.array(fitted, dtype=np.uint8)  # a copy: Pillow's own memory may not be written
    return np.ascontiguousarray(pixels.reshape(spec.height, spec.width, -1).transpose(2, 0, 1))
