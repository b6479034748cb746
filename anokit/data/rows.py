"""Some images of a split, with what belongs to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from anokit.data.arrays import Images
from anokit.data.choosing import Listed
from anokit.data.names import readable
from anokit.data.sets import Chosen
from anokit.types import ImageSplit


@dataclass
class SplitRows:
    """Some images of a split, and what belongs to them, all in one order."""

    split: ImageSplit
    rows: npt.NDArray[np.int64]
    """``[N]``: places in ``split``"""
    listed: Listed
    groups: list[str] | None = None
    """N, where the recipe says what belongs together"""

    @classmethod
    def of(cls, split: ImageSplit) -> SplitRows:
        """Return all images of a split."""
        files, parents = (
            None if names is None else [readable(name) for name in names]
            for names in (getattr(split, name, None) for name in ("files", "parents"))
        )
        return cls(split, np.arange(len(split)), Listed(ids_of(split), files, parents))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Chosen:
        """Return the images, which are not copied where the split has them in bulk."""
        whole = len(self.rows) == len(self.split) and (np.diff(self.rows) == 1).all()
        return Chosen(images_of(self.split), None if whole else self.rows)

    def chosen(self, places: npt.NDArray[np.int64]) -> SplitRows:
        """Return those at ``places``, in that order."""
        groups = None if self.groups is None else [self.groups[place] for place in places]
        return SplitRows(self.split, self.rows[places], self.listed.chosen(places), groups)


def images_of(split: ImageSplit) -> Images:
    """Return all images of a split: in bulk where it offers them, else one by one."""
    bulk: Images | None = getattr(split, "images", None)
    if bulk is not None:
        return bulk
    return torch.stack([split[i].image for i in range(len(split))])


def ids_of(split: ImageSplit) -> list[str]:
    """Return the ids of a split."""
    ids = getattr(split, "ids", None)
    found = ids if ids is not None else [split[i].id for i in range(len(split))]
    return [readable(one) for one in found]


def labels_of(split: ImageSplit) -> list[int | None]:
    """Return the labels of a split."""
    labels = getattr(split, "labels", None)
    return list(labels) if labels is not None else [split[i].label for i in range(len(split))]
