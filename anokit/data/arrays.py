"""Image sets for authors of datasets, and the training set that the core makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from anokit.errors import DataError
from anokit.types import Sample

__all__ = ["ArraySplit", "seeded_order"]

Images = Tensor | npt.NDArray[np.uint8]


def seeded_order(count: int, *seed: int | str) -> npt.NDArray[np.int64]:
    """Return a permutation of ``range(count)`` that depends on ``seed`` alone.

    Every selection of images in anokit (contaminants, test draws, subsets) is a prefix of such an
    order, so that a larger selection contains the smaller one. The seed may have several parts,
    numbers or words, so that two selections of one run do not share their randomness.

    Examples
    --------
    >>> from anokit.data import seeded_order
    >>> order = seeded_order(100, 7, "contaminants")
    >>> few, more = order[:10], order[:20]
    >>> set(few) <= set(more)
    True
    """
    digest = hashlib.sha256("\0".join(str(part) for part in seed).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    return generator.permutation(count)


class ArraySplit(Dataset[Sample]):
    """A split whose images lie in one array: the plain way to write a dataset.

    Parameters
    ----------
    images
        uint8 ``[N, C, H, W]``: a tensor, an array or a memory map, which is then never read whole.
    ids
        N names, unique within the dataset.
    labels
        N times 0 (normal) or 1 (anomalous), for a test split; None elsewhere.
    kinds
        N words that say what each image shows (a class, a defect), for figures by kind.
    masks
        bool ``[H, W]`` by index, for anomalous test images whose anomaly is outlined.
    files
        N paths of the files that the images were read from.
    parents
        N ids of the larger images that these are tiles of; tiles of one image lie side by side.

    Raises
    ------
    DataError
        Where type, shape or lengths do not fit, or an id occurs twice.

    Examples
    --------
    >>> import numpy as np
    >>> from anokit.data import ArraySplit
    >>> images = np.zeros((3, 1, 8, 8), np.uint8)
    >>> test = ArraySplit(images, ["a.png", "b.png", "c.png"], labels=[0, 0, 1])
    >>> test[2].label, test[2].id
    (1, 'c.png')
    >>> len(test.select([0, 2]))
    2
    >>> ArraySplit(images, ["a.png", "b.png"])
    Traceback (most recent call last):
        ...
    anokit.errors.DataError: ids of a split: expected 3, got 2
    """

    def __init__(
        self,
        images: Images,
        ids: Sequence[str],
        *,
        labels: Sequence[int] | None = None,
        kinds: Sequence[str] | None = None,
        masks: Mapping[int, npt.NDArray[np.bool_] | Tensor] | None = None,
        files: Sequence[str] | None = None,
        parents: Sequence[str] | None = None,
    ) -> None:
        if images.ndim != 4 or str(images.dtype).removeprefix("torch.") != "uint8":
            raise DataError(
                "images of a split: expected uint8 [N, C, H, W], "
                f"got {images.dtype} {list(images.shape)}"
            )
        columns: dict[str, Sequence[object] | None] = {
            "ids": ids,
            "labels": labels,
            "kinds": kinds,
            "files": files,
            "parents": parents,
        }
        for name, values in columns.items():
            if values is not None and len(values) != len(images):
                raise DataError(f"{name} of a split: expected {len(images)}, got {len(values)}")
        if len(set(ids)) != len(ids):
            raise DataError("ids of a split: expected each once, got some twice")
        self.images = images
        self.ids = list(ids)
        self.labels = None if labels is None else [int(label) for label in labels]
        self.kinds = None if kinds is None else list(kinds)
        self.masks = masks or {}
        self.files = None if files is None else list(files)
        self.parents = None if parents is None else list(parents)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = torch.as_tensor(np.array(self.images[index]))
        label = None if self.labels is None else self.labels[index]
        mask = self.masks.get(index)
        return Sample(
            image, label, self.ids[index], None if mask is None else torch.as_tensor(mask)
        )

    def select(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> ArraySplit:
        """Return a split of the images at ``indices``, copied, in that order."""
        chosen = [int(i) for i in indices]
        return ArraySplit(
            self.images[chosen],
            [self.ids[i] for i in chosen],
            labels=None if self.labels is None else [self.labels[i] for i in chosen],
            kinds=None if self.kinds is None else [self.kinds[i] for i in chosen],
            masks={new: self.masks[old] for new, old in enumerate(chosen) if old in self.masks},
            files=None if self.files is None else [self.files[i] for i in chosen],
            parents=None if self.parents is None else [self.parents[i] for i in chosen],
        )
