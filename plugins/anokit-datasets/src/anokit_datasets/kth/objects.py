"""Every labelled object of every frame, and which of them are one cell's family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from anokit.errors import DataError
from anokit_datasets.kth.format import CellSequence, Labels, Track

OBJECT = np.dtype(
    [
        ("sequence", np.int32),  # place in the list of sequences
        ("frame", np.int32),
        ("track", np.int32),
        ("debris", np.bool_),
        ("row", np.int32),  # centroid, rounded, in pixels
        ("column", np.int32),
        ("group", np.int64),  # the same for a cell, its mothers and daughters; across all sequences
        ("dying", np.bool_),
    ]
)
Objects = npt.NDArray[np.void]
DYING_FRAMES = 3
"""Last frames of a track that ended in death, in which the cell is called dying."""


def find_objects(sequences: Sequence[CellSequence]) -> tuple[Objects, list[str]]:
    """Return all objects of all sequences, in reading order, and notices.

    Cells come before debris within a sequence; dummy tracks are dropped, and so are labels of
    frames that are not there.
    """
    parts = []
    notices = []
    groups = 0
    for index, sequence in enumerate(sequences):
        for debris, labels in enumerate((sequence.cells, sequence.debris)):
            if labels is None:
                continue
            found, lost = objects_of(labels, sequence.frames)
            if lost:
                notices.append(
                    f"{sequence.name}: {lost} label images have no frame and are left out"
                )
            found["sequence"] = index
            found["debris"] = bool(debris)
            families = lineages(labels.tracks, np.unique(found["track"]))
            found["group"] = groups + np.array(
                [families[int(track)] for track in found["track"]], np.int64
            )
            groups += len(families)
            parts.append(found)
    return np.concatenate(parts) if parts else np.empty(0, OBJECT), notices


def objects_of(labels: Labels, frames: Mapping[int, Path]) -> tuple[Objects, int]:
    """Return the objects of one set of label images, and how many of these have no frame."""
    numbers = sorted(set(labels.images) & set(frames))
    with ThreadPoolExecutor(4) as pool:
        centres = pool.map(
            lambda number: centroids(read_label_image(labels.images[number])), numbers
        )
        parts = [np.empty(0, OBJECT)]
        for number, (tracks, rows, columns) in zip(numbers, centres, strict=True):
            kept = ~np.isin(tracks, list(labels.dummies))
            part = np.zeros(int(kept.sum()), OBJECT)
            part["frame"] = number
            part["track"] = tracks[kept]
            part["row"] = rows[kept]
            part["column"] = columns[kept]
            part["dying"] = [
                track in labels.died
                and track in labels.tracks
                and number > labels.tracks[track].end - DYING_FRAMES
                for track in tracks[kept].tolist()
            ]
            parts.append(part)
    return np.concatenate(parts), len(labels.images) - len(numbers)


def read_label_image(path: Path) -> npt.NDArray[np.integer]:
    """Return a label image ``[H, W]``, 0 = background, else the track."""
    try:
        image = tifffile.imread(path)
    except (OSError, ValueError) as error:
        raise DataError(f"label image {path} cannot be read: {error}") from error
    if image.ndim != 2 or image.dtype.kind not in "ui":
        raise DataError(
            f"label image {path}: expected whole numbers [H, W], "
            f"got {image.dtype} {list(image.shape)}"
        )
    return image


Centroids = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def centroids(image: npt.NDArray[np.integer]) -> Centroids:
    """Return tracks, rows and columns of the centroids, rounded, of the labels in ``[H, W]``."""
    rows, columns = np.nonzero(image)
    tracks, inverse, counts = np.unique(
        image[rows, columns], return_inverse=True, return_counts=True
    )
    centre_rows = np.bincount(inverse, rows, len(tracks)) / counts
    centre_columns = np.bincount(inverse, columns, len(tracks)) / counts
    return (
        tracks.astype(np.int64),
        np.rint(centre_rows).astype(np.int64),
        np.rint(centre_columns).astype(np.int64),
    )


def lineages(tracks: Mapping[int, Track], seen: npt.NDArray[np.integer]) -> dict[int, int]:
    """Give all tracks that parents connect the same number, counted from 0.

    A parent is a mother, or the same cell before a gap. Tracks that were ``seen`` in the images but
    are not in the text stand alone.
    """
    root = {int(track): int(track) for track in (*tracks, *seen)}

    def find(track: int) -> int:
        while root[track] != track:
            root[track] = root[root[track]]
            track = root[track]
        return track

    for number, track in tracks.items():
        if track.parent:
            root[find(number)] = find(track.parent)
    order = {ancestor: index for index, ancestor in enumerate(sorted({find(t) for t in root}))}
    return {track: order[find(track)] for track in root}
