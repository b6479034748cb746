"""The training and test set of a run: a recipe's dataset with its declared contamination."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch

from anokit.data.arrays import Images, seeded_order
from anokit.data.sets import ImageTable, RunData, TestSet, TrainingSet, _take
from anokit.errors import DataError, MissingDataError, RecipeError
from anokit.recipe.parts import DatasetPart
from anokit.registry.blame import blame
from anokit.types import DatasetSource, ImageSplit
from anokit.watching import NOBODY, Watcher

FULL_HASH_BYTES = 64 * 2**20
"""A training set up to this size is hashed whole for its fingerprint, a larger one by a sample."""


def open_dataset(dataset: DatasetPart, watcher: Watcher = NOBODY) -> tuple[DatasetSource, bool]:
    """Return the recipe's dataset, and whether it is a simulated stand-in.

    ``watcher`` is told what takes long.

    Raises
    ------
    MissingDataError
        Where it is not there and the recipe does not say ``when_missing = "simulate"``.
    """
    component = dataset.entry.component
    with blame(dataset.entry, "opening the data"):
        try:
            source: DatasetSource = component.load()(dataset.options)
            return source, False
        except MissingDataError as error:
            simulation = component.load_simulation()
            if simulation is None:
                raise
            if dataset.keys.when_missing != "simulate":
                raise MissingDataError(
                    f'{error}\nOr write when_missing = "simulate" under [dataset] to run on '
                    "simulated images, marked as such everywhere."
                ) from None
            watcher.notice(
                "the data set is not here; simulating a stand-in, or reading an earlier one"
            )
            return simulation(dataset.options), True


def prepare(dataset: DatasetPart, seed: int, watcher: Watcher = NOBODY) -> RunData:
    """Open the dataset and mix in its declared contamination.

    ``int(γ·N/(1−γ))`` contaminants join the N training images: a prefix of one seeded order, so
    that the sets are nested as γ grows. Where the dataset has none, ``contaminants_from_test``
    first takes a seeded share of the anomalous test images out of the test set, so that the two
    cannot overlap.

    Raises
    ------
    RecipeError
        Where γ asks for more contaminants than there are.
    DataError
        Where the training set is empty or images and spec differ.
    """
    watcher.notice(f"reading {dataset.entry.component.name}")
    source, simulated = open_dataset(dataset, watcher)
    with blame(dataset.entry, "reading the data"):
        return _assemble(dataset, source, simulated, seed)


def _assemble(dataset: DatasetPart, source: DatasetSource, simulated: bool, seed: int) -> RunData:
    name = dataset.entry.component.name
    spec = source.spec
    count = len(source.train)
    if count == 0:
        raise DataError(f"dataset {name!r} has no training images; expected at least one")
    test_rows = np.arange(len(source.test) if source.test is not None else 0)
    pool, pool_rows = source.contaminants, np.arange(len(source.contaminants or ()))
    if dataset.keys.contaminants_from_test:
        pool = source.test
        pool_rows, test_rows = _share_of_test(dataset, source, seed)
    share = dataset.keys.contamination
    wanted = contaminant_count(count, share)
    if wanted > len(pool_rows):
        where = "set contaminants_from_test, or lower it" if pool is None else "lower it"
        raise RecipeError(
            f"dataset.contamination = {share:g} asks for {wanted} contaminants in "
            f"{count} training images, and dataset {name!r} has {len(pool_rows)}; {where}"
        )
    chosen = pool_rows[seeded_order(len(pool_rows), seed, "contamination")[:wanted]]
    parts: list[Images] = [images_of(source.train)]
    ids = ids_of(source.train)
    if wanted and pool is not None:
        parts.append(_select(pool, chosen))
        ids += [ids_of(pool)[i] for i in chosen]
    train = TrainingSet(ImageTable(parts), ids, np.arange(count + wanted) >= count)
    test = _test_set(source.test, test_rows) if source.test is not None and len(test_rows) else None
    for images in [*train.images.parts, *(test.images.parts if test else [])]:
        if tuple(images.shape[1:]) != (spec.channels, spec.height, spec.width):
            raise DataError(
                f"dataset {name!r}: images are {'×'.join(map(str, images.shape[1:]))}, "
                f"its spec says {spec}"
            )
    if test and set(test.ids) & set(train.ids):
        raise DataError(f"dataset {name!r}: an id is in the training and in the test set")
    return RunData(
        spec=spec,
        train=train,
        test=test,
        protocol=source.protocol,
        notices=tuple(source.notices),
        simulated=simulated,
        fingerprint=_fingerprint(train, test),
    )


def contaminant_count(normals: int, contamination: float) -> int:
    """Return ``int(γ·N/(1−γ))``, the contaminants that make up the share γ beside N normals.

    >>> contaminant_count(5000, 0.02)
    102
    """
    # A share such as 0.1 is not exact in binary: 900 normals at 10 % are 100, not int(99.99…).
    return int(contamination * normals / (1 - contamination) + 1e-6)


def images_of(split: ImageSplit) -> Images:
    """Return all images of a split: in bulk where it offers them, else one by one."""
    bulk: Images | None = getattr(split, "images", None)
    if bulk is not None:
        return bulk
    return torch.stack([split[i].image for i in range(len(split))])


def ids_of(split: ImageSplit) -> list[str]:
    """Return the ids of a split."""
    ids = getattr(split, "ids", None)
    return list(ids) if ids is not None else [split[i].id for i in range(len(split))]


def _select(split: ImageSplit, rows: npt.NDArray[np.int64]) -> Images:
    bulk: Images | None = getattr(split, "images", None)
    if bulk is not None:
        return _take(bulk, rows)
    return torch.stack([split[int(i)].image for i in rows])


def _labels_of(split: ImageSplit) -> list[int | None]:
    labels = getattr(split, "labels", None)
    if labels is not None:
        return list(labels)
    return [split[i].label for i in range(len(split))]


def _share_of_test(
    dataset: DatasetPart, source: DatasetSource, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of the test set that become contaminants, and those that stay."""
    if source.test is None:
        raise RecipeError(
            "dataset.contaminants_from_test: the dataset has no test set to take from"
        )
    if source.contaminants is not None and len(source.contaminants):
        raise RecipeError(
            "dataset.contaminants_from_test: the dataset has contaminants of its own; remove it"
        )
    anomalous = np.flatnonzero(np.array([label == 1 for label in _labels_of(source.test)]))
    take = int(len(anomalous) * dataset.keys.contaminants_from_test)
    taken = anomalous[seeded_order(len(anomalous), seed, "contaminants from test")[:take]]
    return taken, np.setdiff1d(np.arange(len(source.test)), taken)


def _test_set(split: ImageSplit, rows: npt.NDArray[np.int64]) -> TestSet:
    whole = len(rows) == len(split)
    ids, labels = ids_of(split), _labels_of(split)
    kinds = getattr(split, "kinds", None)
    known = all(label is not None for label in labels)
    return TestSet(
        images=ImageTable([images_of(split) if whole else _select(split, rows)]),
        ids=[ids[i] for i in rows],
        labels=np.array([labels[i] for i in rows], dtype=np.int64) if known else None,
        kinds=None if kinds is None else [str(kinds[i]) for i in rows],
        split=split,
        rows=rows,
    )


def _fingerprint(train: TrainingSet, test: TestSet | None) -> str:
    digest = hashlib.sha256()
    for ids, images in [(train.ids, train.images), *([(test.ids, test.images)] if test else [])]:
        digest.update("\n".join(ids).encode())
        rows = np.arange(len(images))
        if images.nbytes > FULL_HASH_BYTES:
            rows = np.sort(seeded_order(len(images), "fingerprint")[:1000])
        for start in range(0, len(rows), 1000):
            digest.update(images.read(rows[start : start + 1000]).numpy().tobytes())
    return digest.hexdigest()
