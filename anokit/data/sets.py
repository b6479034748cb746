"""What a run reads: the training set, the test set, and images by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.arrays import Images, seeded_order
from anokit.errors import DataError
from anokit.types import ImageSpec, ImageSplit


class Chosen(NamedTuple):
    """Some images of an array, which is not copied."""

    images: Images
    rows: npt.NDArray[np.int64] | None
    """places in ``images``; None for all of them"""

    def take(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Return the images at ``indices`` of the chosen ones, as a tensor."""
        return _take(self.images, indices if self.rows is None else self.rows[indices])

    @property
    def shape(self) -> tuple[int, ...]:
        """Return ``(N, C, H, W)``."""
        count = len(self.images if self.rows is None else self.rows)
        return (count, *self.images.shape[1:])


class ImageTable:
    """Images of one or several splits, read by index; memory maps stay on disk."""

    def __init__(
        self, parts: Sequence[Images | Chosen], names: Sequence[str] | None = None
    ) -> None:
        self.names = names
        """what errors call each image; None where nobody knows"""
        chosen = [part if isinstance(part, Chosen) else Chosen(part, None) for part in parts]
        self.parts = [part for part in chosen if part.shape[0]]
        self.starts = np.cumsum([0, *(part.shape[0] for part in self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return sum(int(np.prod(part.shape)) for part in self.parts)

    def read(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Return the images at ``indices``: uint8 ``[B, C, H, W]`` on the CPU."""
        which = np.searchsorted(self.starts, indices, side="right") - 1
        if len(self.parts) == 1 or (which == which[:1]).all():
            at = int(which[0]) if len(which) else 0
            return self.parts[at].take(indices - self.starts[at])
        result = torch.empty((len(indices), *self.parts[0].shape[1:]), dtype=torch.uint8)
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(which == number)
            if len(here):
                result[torch.from_numpy(here)] = part.take(indices[here] - self.starts[number])
        return result


def _take(images: Images, indices: npt.NDArray[np.int64]) -> Tensor:
    if isinstance(images, Tensor):
        return images[torch.from_numpy(indices)]
    return torch.from_numpy(np.ascontiguousarray(images[indices]))


@dataclass(frozen=True)
class Wholes:
    """Images as the user knows them, of which those that networks see may be tiles."""

    ids: list[str]
    """M, in the order in which they first occur"""
    first: npt.NDArray[np.int64]
    """``[M]``: place of the first tile of each, or of the image itself"""
    of_tile: npt.NDArray[np.int64]
    """``[N]``: which whole each tile is of"""

    @classmethod
    def of(cls, ids: Sequence[str], parents: Sequence[str] | None) -> Wholes:
        """Return the wholes of N images; each stands for itself where there are no parents."""
        if parents is None:
            return cls(list(ids), all_rows(len(ids)), all_rows(len(ids)))
        places = {name: place for place, name in enumerate(dict.fromkeys(parents))}
        of_tile = np.array([places[name] for name in parents], dtype=np.int64)
        return cls(list(places), np.unique(of_tile, return_index=True)[1], of_tile)

    def __len__(self) -> int:
        return len(self.ids)

    def tops(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the place of each whole's tile with the largest of ``values`` ``[N]``: ``[M]``."""
        order = np.lexsort((-np.arange(len(values)), values))
        top = np.empty(len(self), dtype=np.int64)
        top[self.of_tile[order]] = order  # the last one to be written is the largest
        return top

    def largest(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return each whole's largest of ``values`` ``[N]``, its score: ``[M]``."""
        return values[self.tops(values)]


@dataclass(frozen=True)
class TrainingSet:
    """What is trained on: images taken as normal and the contaminants that the recipe mixes in."""

    images: ImageTable
    ids: list[str]
    is_contaminant: npt.NDArray[np.bool_]
    """``[N]``; known to the report alone, never to training or threshold"""
    files: list[str] | None = None
    """``[N]``: the files that the images were read from, where they are files"""
    parents: list[str] | None = None
    """``[N]``: ids of the larger images that these are tiles of, where they are tiles"""
    groups: list[str] | None = None
    """``[N]``: which images belong together, where the recipe says how to tell"""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> list[str]:
        """Return what the user calls each image: its file, or its id where it is none."""
        if self.files is None:
            return self.ids
        return [file or name for file, name in zip(self.files, self.ids, strict=True)]

    @property
    def units(self) -> list[str] | None:
        """Return what must stay together when a part is left out; None where all stand alone."""
        return self.groups if self.groups is not None else self.parents

    @property
    def wholes(self) -> Wholes:
        """Return the images as the user knows them: tiles of one are one."""
        return Wholes.of(self.ids, self.parents)

    def held_out(self, share: float, seed: int) -> Rows:
        """Return the images of a seeded share, sorted: at least one, and never all of them.

        Images that belong together (`units`) go together, and the share is then one of units. No
        label is read, so contaminants may be among them. None where ``share`` is 0.

        Raises
        ------
        DataError
            Where all images are one unit, so that nothing would be left.
        """
        if not share:
            return np.empty(0, dtype=np.int64)
        units = np.asarray(self.units if self.units is not None else self.ids)
        names = np.unique(units)
        if len(names) < 2:
            what = "one image" if self.units is None else "one image or group of images"
            raise DataError(
                f"training.validation = {share:g} holds training images out, and there is but "
                f"{what}: remove it, or add training images"
            )
        count = min(max(1, int(share * len(names) + 1e-6)), len(names) - 1)
        chosen = names[seeded_order(len(names), seed, "validation")[:count]]
        return np.flatnonzero(np.isin(units, chosen))


@dataclass(frozen=True)
class TestSet:
    """What is scored: labels are read by the evaluation alone."""

    images: ImageTable
    ids: list[str]
    labels: npt.NDArray[np.int64] | None
    """``[N]`` of 0 and 1; None where the images carry no labels"""
    kinds: list[str] | None
    split: ImageSplit
    rows: npt.NDArray[np.int64]
    """``[N]``: places of the images in ``split``"""
    files: list[str] | None = None
    """``[N]``: the files that the images were read from, where they are files"""
    parents: list[str] | None = None
    """``[N]``: ids of the larger images that these are tiles of, where they are tiles"""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def wholes(self) -> Wholes:
        """Return the images as the user knows them: tiles of one are one."""
        return Wholes.of(self.ids, self.parents)

    def mask(self, row: int) -> npt.NDArray[np.bool_] | None:
        """Return the mask of one image: of zeros where it is normal, None where none is known."""
        sample = self.split[int(self.rows[row])]
        if sample.mask is not None:
            return np.asarray(sample.mask, dtype=bool)
        if sample.label == 0:
            return np.zeros(tuple(sample.image.shape[1:]), dtype=bool)
        return None


@dataclass(frozen=True)
class SamePicture:
    """Images that are equal to the last pixel, by name."""

    training: tuple[str, ...]
    """those that are trained on, contaminants among them"""
    test: tuple[str, ...]
    labels: tuple[int | None, ...]
    """of those in the test set"""

    @property
    def in_both_classes(self) -> bool:
        """Whether the test set calls it normal as well as anomalous."""
        return len(set(self.labels) - {None}) > 1


@dataclass(frozen=True)
class RunData:
    """Everything that a run reads."""

    spec: ImageSpec
    train: TrainingSet
    test: TestSet | None
    protocol: str
    notices: tuple[str, ...]
    simulated: bool
    fingerprint: str
    """hash over ids and pixels of the training and the test set"""
    test_fingerprint: str = ""
    """hash over ids and pixels of the test set alone; empty without one"""
    excluded: tuple[str, ...] = ()
    """training images, as the user knows them, that a list left out"""
    copies: tuple[SamePicture, ...] = ()
    """pictures that occur more than once in what is read"""
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """names of copies that were left out: ``training``, ``contaminants``, ``test``"""
    unread: Mapping[str, str] = field(default_factory=dict)
    """files that could not be read, and why, by name"""

    def in_words(self, *, contaminated: bool) -> str:
        """Return how many images there are of what; ``contaminated``: the recipe asks for it."""
        parts = [f"{len(self.train):,} training images {self.spec}"]
        if contaminated:
            tainted = int(self.train.is_contaminant.sum())
            parts.append(f"of which {tainted:,} known contaminants")
        if self.test is None:
            parts.append("no test set")
        elif self.test.labels is None:
            parts.append(f"{len(self.test):,} unlabelled test images")
        else:
            anomalous = int(self.test.labels.sum())
            normal = len(self.test) - anomalous
            parts.append(f"test {normal:,} normal + {anomalous:,} anomalous")
        return f"{', '.join(parts)}; {self.protocol}"


def all_rows(count: int) -> Rows:
    """Return ``0 … count``."""
    return np.arange(count, dtype=np.int64)


def places_in(sorted_rows: Rows, rows: Rows) -> Rows:
    """Return the place of each of ``rows`` among ``sorted_rows``, −1 where it is not there."""
    places = np.searchsorted(sorted_rows, rows)
    there = sorted_rows[np.minimum(places, len(sorted_rows) - 1)] == rows
    return np.where(there, places, -1)


Rows = npt.NDArray[np.int64]
