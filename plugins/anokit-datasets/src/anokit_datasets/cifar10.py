"""CIFAR-10 as an anomaly detection task, read by torchvision, never downloaded."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.data import ArraySplit
from anokit.errors import DataError, MissingDataError
from anokit.types import ImageSpec
from anokit_datasets.options import CIFAR10_CLASSES, Cifar10Options
from anokit_datasets.resizing import bilinear, box
from anokit_datasets.source import Source, draw, draw_in_proportion

FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
PUBLISHED_TEST_SIZE = 1000
"""Normal and anomalous test images each: Berg et al., section 4.1."""

Indices = npt.NDArray[np.int64]


def cifar10(options: Cifar10Options) -> Source:
    """Return CIFAR-10, some classes normal and the others anomalous.

    ``one-class`` (Berg et al., section 4.1): train on the normal classes' training images (5,000
    for one class); test on 1,000 of their test images and 1,000 test images drawn from all other
    classes; contaminants are the other classes' training images.

    ``one-class-abnormal`` (Akcay et al., Skip-GANomaly and GANomaly): train on the training images
    of all classes but the abnormal; test on the normal classes' test images and on all images,
    training and test, of the abnormal ones. That leaves no anomaly for the training side: a recipe
    takes its contaminants out of the test set with ``contaminants_from_test``.

    Raises
    ------
    MissingDataError
        Where ``root/cifar-10-batches-py`` or a file of it is missing.
    DataError
        Where a file differs from the official one.
    """
    images, labels, train_count = read(Path(options.root))
    normal = np.isin(labels, [CIFAR10_CLASSES.index(name) for name in options.normal_classes()])
    in_train = np.arange(len(labels)) < train_count
    seed = options.draw_seed

    train = np.flatnonzero(normal & in_train)
    train = train[draw(len(train), options.max_train, seed, "cifar10", "train")]
    if options.protocol == "one-class":
        contaminants: Indices | None = np.flatnonzero(~normal & in_train)
        anomalous = np.flatnonzero(~normal & ~in_train)
        limit: int | None = options.test_size or PUBLISHED_TEST_SIZE
    else:
        contaminants = None
        anomalous = np.flatnonzero(~normal)
        limit = options.test_size
    test_normal = np.flatnonzero(normal & ~in_train)
    test = np.concatenate(
        [
            test_normal[draw(len(test_normal), limit, seed, "cifar10", "test", "normal")],
            anomalous[draw(len(anomalous), limit, seed, "cifar10", "test", "anomalous")],
        ]
    )
    test_labels = (~normal[test]).astype(int).tolist()
    kept = draw_in_proportion(test_labels, options.max_test, seed, "cifar10", "test", "subset")
    test = test[kept]

    def split(chosen: Indices, *, labelled: bool = False) -> ArraySplit:
        names = [CIFAR10_CLASSES[labels[i]] for i in chosen]
        return ArraySplit(
            resized(images[chosen], options.size),
            list(identifiers(names, chosen, train_count)),
            labels=(~normal[chosen]).astype(int).tolist() if labelled else None,
            kinds=names,
        )

    return Source(
        spec=ImageSpec(3, options.size, options.size),
        train=split(train),
        contaminants=None if contaminants is None else split(contaminants),
        test=split(test, labelled=True),
        protocol=options.protocol,
    )


def read(root: Path) -> tuple[npt.NDArray[np.uint8], Indices, int]:
    """Return images uint8 ``[60000, 3, 32, 32]``, labels, and how many are training images.

    Those come first.
    """
    folder = root / "cifar-10-batches-py"
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        lacking = f"missing: {', '.join(missing)}" if folder.is_dir() else "no such folder"
        raise MissingDataError(
            f"CIFAR-10 is not in {root}: expected {folder}/ with {', '.join(FILES)}; {lacking}. "
            "Get cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and "
            f"unpack it: tar -xzf cifar-10-python.tar.gz -C {root}"
        )
    # Imported late: it is slow, and a missing folder should be told at once.
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(root, train=train, download=False) for train in (True, False)]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        raise DataError(
            f"CIFAR-10 in {folder} is damaged: a file's MD5 sum is not the official one ({error}). "
            "Unpack cifar-10-python.tar.gz again"
        ) from error
    images = np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2)
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    return images, labels, len(parts[0].targets)


def resized(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize ``[N, C, 32, 32]`` to ``size``: box mean below 32, bilinear above."""
    small = box(images, size) if size < images.shape[-1] else images
    return np.ascontiguousarray(bilinear(small, size, size))


def identifiers(names: Iterable[str], indices: Indices, train_count: int) -> Iterable[str]:
    """Yield ``train/automobile/00004`` and the like; the number counts within CIFAR-10's split."""
    for name, index in zip(names, indices, strict=True):
        split, number = ("train", index) if index < train_count else ("test", index - train_count)
        yield f"{split}/{name}/{number:05d}"
