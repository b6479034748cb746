"""The dataset: three NumPy files in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anokit import ImageSpec, MissingDataError
from anokit.data import ArraySplit

if TYPE_CHECKING:
    from acme_data.plugin import DataOptions

FILES = ("train.npy", "test.npy", "labels.npy")


class Data:
    """Training images, taken as normal, and labelled test images. Nothing is downloaded.

    Raises
    ------
    MissingDataError
        Where a file is missing.
    """

    protocol = "as labelled"
    notices = ()
    contaminants = None

    def __init__(self, options: DataOptions) -> None:
        root = Path(options.root)
        missing = [name for name in FILES if not (root / name).is_file()]
        if missing:
            raise MissingDataError(
                f"dataset 'data' is not in {root}: expected {root}/ with "
                f"{', '.join(FILES)}; missing: {', '.join(missing)}"
            )
        # Memory maps: images are read when they are asked for.
        images = np.load(root / "train.npy", mmap_mode="r")
        tested = np.load(root / "test.npy", mmap_mode="r")
        labels = np.load(root / "labels.npy")
        self.spec = ImageSpec(*images.shape[1:])
        self.train = ArraySplit(images, [f"train/{i}" for i in range(len(images))])
        ids = [f"test/{i}" for i in range(len(tested))]
        self.test = ArraySplit(tested, ids, labels=labels.tolist())
