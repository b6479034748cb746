"""Images that show nearly the same, by their content alone.

An image is shrunk to a grey thumbnail, whose mean and contrast are taken off, so that exposures of
one scene are alike; then the mean thumbnail of all images is taken off, so that what all share (a
background, an aligned object) makes nobody alike. Two images are near-duplicates where the
correlation of what is left is at least `ALIKE`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch.nn.functional import adaptive_avg_pool2d

from anokit.data.sets import ImageTable

SIDE = 32
"""Pixels along the side of a thumbnail."""

ALIKE = 0.95
"""Correlation from which on two images show nearly the same."""

FLAT = 1.0
"""Contrast (standard deviation in grey values of 255) below which an image resembles nothing."""

BLOCK = 1024

Floats = npt.NDArray[np.float32]


def duplicate_groups(images: ImageTable) -> list[str]:
    """Return a name for each image, shared by near-duplicates of near-duplicates."""
    found = thumbnails(images)
    found = _centred(found, found)
    pairs = _pairs(found, found)
    ones = np.ones(len(pairs), dtype=np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(images), len(images)))
    return [f"like\0{label}" for label in connected_components(graph, directed=False)[1]]


def duplicates_across(train: ImageTable, test: ImageTable) -> list[tuple[int, int]]:
    """Return pairs of a test image and a training image that show nearly the same.

    One pair for each test image that has any, with the training image that is most like it.
    """
    known, new = thumbnails(train), thumbnails(test)
    pairs = _pairs(_centred(new, known), _centred(known, known), closest=True)
    return [(int(row), int(other)) for row, other in pairs]


def thumbnails(images: ImageTable) -> Floats:
    """Return grey thumbnails ``[N, d]`` of mean 0 and standard deviation 1; zeros where flat."""
    parts = []
    for start in range(0, len(images), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(images)))
        grey = images.read(rows).float().mean(dim=1)
        side = (min(SIDE, grey.shape[1]), min(SIDE, grey.shape[2]))
        parts.append(adaptive_avg_pool2d(grey, side).flatten(1))
    found = torch.cat(parts) if parts else torch.zeros(0, SIDE * SIDE)
    spread, mean = torch.std_mean(found, dim=1, keepdim=True, correction=0)
    return torch.where(spread < FLAT, 0.0, (found - mean) / spread.clamp_min(FLAT)).numpy()


def _centred(thumbnails: Floats, known: Floats) -> Floats:
    """Return thumbnails without the mean of the known ones, of unit length or 0."""
    rest = thumbnails - known.mean(axis=0, dtype=np.float64).astype(np.float32)
    rest[~thumbnails.any(axis=1)] = 0
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.divide(rest, length, out=np.zeros_like(rest), where=length > 0)


def _pairs(one: Floats, other: Floats, *, closest: bool = False) -> npt.NDArray[np.int64]:
    """Return pairs ``[P, 2]`` of rows that are alike; only the closest to each where wanted."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(one), BLOCK):
        alike = one[start : start + BLOCK] @ other.T
        if closest:
            best = alike.argmax(axis=1)
            rows = np.flatnonzero(alike[np.arange(len(best)), best] >= ALIKE)
            found.append(np.stack([rows + start, best[rows]], axis=1))
        else:
            rows, others = np.nonzero(alike >= ALIKE)
            found.append(np.stack([rows + start, others], axis=1))
    return np.concatenate(found)
