"""``anokit score``: image files through a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from anokit.data.finding import expand, find_images
from anokit.data.sets import Wholes
from anokit.errors import CheckpointError, DataError, UsageError
from anokit.report.ranked_gallery import Gallery
from anokit.results.thresholds import discoveries
from anokit.runs.finished import FinishedRun, check_share, load
from anokit.runs.painting import drawn_by, paint_ranking
from anokit.store.files import write_text
from anokit.store.score_table import Judged, Ranking
from anokit.watching import NOBODY, Watcher


@dataclass(frozen=True)
class ScoredFiles:
    """Image files and their scores by a finished run."""

    run: FinishedRun
    files: list[Path]
    scores: dict[str, npt.NDArray[np.float64]]
    """``[N]`` by score name"""
    judged: dict[str, Judged]
    """by score name: what is flagged, and p-values"""
    rule: str
    """what an image is flagged by, in words"""
    learnt: int
    """how many of the files are the run's own training images"""
    unreadable: list[tuple[Path, str]]
    """files that could not be read, and why"""

    @property
    def primary(self) -> str:
        """Return the name of the primary score."""
        return self.run.recipe.primary.name

    @property
    def ranking(self) -> Ranking:
        """Return the files with all scores, as a table."""
        return Ranking([str(file) for file in self.files], self.scores, self.judged)


def score_files(
    run: Path,
    paths: Sequence[Path],
    watcher: Watcher = NOBODY,
    *,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
    false_alarms: float | None = None,
    false_discoveries: float | None = None,
) -> ScoredFiles:
    """Score files, and all image files below folders.

    Parameters
    ----------
    false_alarms
        Share of normal images to be flagged at most, in the place of the recipe's.
    false_discoveries
        Share of normal images *among those flagged*, by Benjamini and Hochberg: what is flagged
        then depends on the other files of the call, though no score or p-value does.

    Raises
    ------
    UsageError
        Where a path does not exist, no image is found, a rate is out of range, both rates are
        given, or a plugin is neither given nor trusted.
    DataError
        Where no file can be read.
    """
    if false_alarms is not None and false_discoveries is not None:
        raise UsageError("give --false-alarms or --false-discoveries, not both")
    if false_discoveries is not None:
        check_share("--false-discoveries", false_discoveries)
    if false_alarms is not None:
        check_share("--false-alarms", false_alarms)
    files = collect(paths)
    finished = load(run, device=device, plugins=plugins, trust_plugins=trust_plugins)
    images, parents, kept, unreadable = read_all(finished, files)
    if not kept:
        path, reason = unreadable[0]
        raise DataError(
            f"none of {len(files)} files can be read as an image; the first is {path}: {reason}"
        )
    wholes = Wholes.of(parents, parents)
    tiles = finished.score(images, watcher.track("scoring", len(images)))
    scores = {name: wholes.largest(values) for name, values in tiles.items()}
    watcher.done()
    by = finished.calibrations(false_alarms)
    judged = {name: by[name].judge(values) for name, values in scores.items()}
    primary = by[finished.recipe.primary.name]
    rule = (
        f"threshold {primary.threshold:.4g} of {finished.recipe.primary.name} "
        f"({100 * primary.promised:.3g} % false alarms)"
    )
    if false_discoveries is not None:
        judged = {
            name: replace(one, flagged=discoveries(one.p_values, false_discoveries))
            for name, one in judged.items()
        }
        rule = f"bound for {100 * false_discoveries:.3g} % false discoveries among these files"
    own = {Path(name).absolute() for name in finished.directory.read_ranking().images}
    learnt = sum(path.absolute() in own for path in kept)
    return ScoredFiles(finished, kept, scores, judged, rule, learnt, unreadable)


def collect(paths: Sequence[Path]) -> list[Path]:
    """Return all image files among ``paths`` and below the folders among them, sorted.

    Raises
    ------
    UsageError
        Where a path does not exist or there is no image at all.
    """
    found: list[Path] = []
    for path in map(expand, paths):
        if path.is_dir():
            found += find_images(path)
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(
                f"{path}: no such file or folder, seen from {Path.cwd()}; name images or folders "
                "of images"
            )
    if not found:
        listed = ", ".join(str(path) for path in paths)
        raise UsageError(
            f"no images in {listed}; expected files with the suffix of an image, such as .png, "
            ".jpg or .tif, that are not hidden"
        )
    return list(dict.fromkeys(found))


def read_all(
    run: FinishedRun, files: Sequence[Path]
) -> tuple[torch.Tensor, list[str], list[Path], list[tuple[Path, str]]]:
    """Return images ``[N, C, H, W]``, tiles perhaps, and the file of each as text.

    Then the files that could be read, and those that could not, and why.
    """
    images: list[torch.Tensor] = []
    parents: list[str] = []
    kept: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    for path in files:
        try:
            found = run.pieces(path).images
        except DataError as error:
            unreadable.append((path, str(error)))
            continue
        images += found
        parents += [str(path)] * len(found)
        kept.append(path)
    shape = (0, run.spec.channels, run.spec.height, run.spec.width)
    stacked = torch.stack(images) if images else torch.empty(shape, dtype=torch.uint8)
    return stacked, parents, kept, unreadable


def write_csv(found: ScoredFiles, out: Path) -> None:
    """Write every file with every score to a CSV file, most anomalous first.

    Raises
    ------
    UsageError
        Where it cannot be written.
    """
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: cannot be written: there is no folder {out.parent}")
    try:
        write_text(out, found.ranking.text())
    except CheckpointError as error:
        raise UsageError(f"--out {error}") from None


def write_maps(found: ScoredFiles, folder: Path, watcher: Watcher = NOBODY) -> Gallery:
    """Write every file, the most anomalous first, with the primary score's map painted on it.

    Where the score has no map, the files alone.

    Raises
    ------
    UsageError
        Where the folder cannot be written, or holds something else.
    """
    run, ranking = found.run, found.ranking
    row = next(row for row in run.results.rows if row.name == found.primary)
    draw = drawn_by(run.scorer, run.recipe.primary, run.files)
    try:
        return paint_ranking(
            folder,
            ranking,
            len(found.files),
            row.map_scale,
            draw,
            run.recipe,
            title=f"{run.results.title}: most anomalous first",
            watcher=watcher,
        )
    except (CheckpointError, UsageError) as error:
        raise UsageError(f"--maps {error}") from None
