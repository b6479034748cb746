"""The training and test set of a run: a recipe's dataset with its declared contamination."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from anokit.data.arrays import seeded_order
from anokit.data.choosing import Listed, excluded, groups_of
from anokit.data.contract import hold_to_contract
from anokit.data.copies import about_alike, about_dropped, copies_in, each_once, judged
from anokit.data.names import readable
from anokit.data.rows import SplitRows, labels_of
from anokit.data.sets import ImageTable, RunData, TestSet, TrainingSet
from anokit.errors import DataError, MissingDataError, RecipeError
from anokit.recipe.parts import DatasetPart
from anokit.registry.guard import guarded
from anokit.types import DatasetSource
from anokit.watching import NOBODY, Watcher


def open_dataset(dataset: DatasetPart, watcher: Watcher = NOBODY) -> tuple[DatasetSource, bool]:
    """Return the recipe's dataset, and whether it is a simulated stand-in.

    ``watcher`` is told what takes long.

    Raises
    ------
    MissingDataError
        Where it is not there and the recipe does not say ``when_missing = "simulate"``.
    """
    component = dataset.entry.component
    with guarded(dataset.entry, "being imported", draws="restored"):
        make = component.load()  # libraries may draw at random when they are imported
    with guarded(dataset.entry, "opening the data"):
        try:
            source: DatasetSource = make(dataset.options)
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


def prepare(
    dataset: DatasetPart, seed: int, watcher: Watcher = NOBODY, *, kept_list: Path | None = None
) -> RunData:
    """Open the dataset and mix in its declared contamination.

    ``int(γ·N/(1−γ))`` contaminants join the N training images: a prefix of one seeded order, so
    that the sets are nested as γ grows. Where the dataset has none, ``contaminants_from_test``
    first takes a seeded share of the anomalous test images out of the test set, so that the two
    cannot overlap. ``kept_list`` is a run's copy of ``exclude``, which is read in its place.

    Raises
    ------
    RecipeError
        Where γ asks for more contaminants than there are.
    DataError
        Where the training set is empty or images and spec differ.
    """
    watcher.notice(f"reading {dataset.entry.component.name}")
    source, simulated = open_dataset(dataset, watcher)
    with guarded(dataset.entry, "reading the data"):
        return _assemble(dataset, source, simulated, seed, kept_list)


def _assemble(
    dataset: DatasetPart,
    source: DatasetSource,
    simulated: bool,
    seed: int,
    kept_list: Path | None = None,
) -> RunData:
    name, keys = dataset.entry.component.name, dataset.keys
    spec = source.spec
    if not len(source.train):
        raise DataError(f"dataset {name!r} has no training images; expected at least one")
    hold_to_contract(dataset.entry, source)
    train, notices = SplitRows.of(source.train), list(source.notices)
    unread: Mapping[str, str] = getattr(source, "unread", {})
    test = SplitRows.of(source.test) if source.test is not None else None
    pool = SplitRows.of(source.contaminants) if source.contaminants is not None else None
    if keys.group:
        notices += _group(keys.group, [part for part in (train, pool, test) if part])
    dropped: Mapping[str, tuple[str, ...]] = {}
    if keys.duplicates == "drop":
        once = each_once(train, pool, test)
        train, pool, test, dropped = once.train, once.pool, once.test, once.dropped
        notices += about_dropped(dropped)
        if not len(train):
            raise DataError(
                f"dataset.duplicates = 'drop': every training image of {name!r} is in the test set "
                "or among the contaminants too, so none is left; check the folders"
            )
    if keys.contaminants_from_test:
        pool, test = _share_of_test(source, test, keys.contaminants_from_test, seed)
    if test is not None and keys.group:
        kept = [_apart(part, test, what) for part, what in ((train, "training"), (pool, "spare"))]
        (train, pool), texts = zip(*kept, strict=True)
        notices += [text for text in texts if text]
        if train is None or not len(train):
            raise DataError(
                f"dataset.group: every training image of {name!r} is of a group that the test set "
                "has too, so none is left; check what the groups are"
            )
    wanted = contaminant_count(len(train), keys.contamination)
    spare = 0 if pool is None else len(pool)
    if wanted > spare:
        where = "set contaminants_from_test, or lower it" if pool is None else "lower it"
        raise RecipeError(
            f"dataset.contamination = {keys.contamination:g} asks for {wanted} contaminants in "
            f"{len(train)} training images, and dataset {name!r} has {spare}; {where}"
        )
    parts = [train]
    if wanted and pool is not None:
        parts.append(pool.chosen(seeded_order(spare, seed, "contamination")[:wanted]))
    left_out: tuple[str, ...] = ()
    if keys.exclude:
        # Last, so that contaminants that the recipe mixes in can be found and left out too.
        parts, left_out, text = _without(parts, Path(keys.exclude), kept_list)
        notices.append(text)
    training = _training_set(parts, grouped=bool(keys.group))
    testing = _test_set(test) if test is not None and len(test) else None
    for images in [*training.images.parts, *(testing.images.parts if testing else [])]:
        if tuple(images.shape[1:]) != (spec.channels, spec.height, spec.width):
            raise DataError(
                f"dataset {name!r}: images are {'×'.join(map(str, images.shape[1:]))}, "
                f"its spec says {spec}"
            )
    if testing and set(testing.ids) & set(training.ids):
        raise DataError(f"dataset {name!r}: an id is in the training and in the test set")
    # Where copies are dropped, each picture is left once: it need not be looked at again.
    dropping = keys.duplicates == "drop"
    copies = () if dropping else copies_in(parts, test if testing else None)
    notices += judged(copies, keys.duplicates)
    if testing:
        notices += about_alike(training, testing, copies)
    return RunData(
        spec=spec,
        train=training,
        test=testing,
        protocol=source.protocol,
        notices=tuple(readable(text) for text in notices),
        simulated=simulated,
        fingerprint=_fingerprint(training, *([testing] if testing else [])),
        test_fingerprint=_fingerprint(testing) if testing else "",
        excluded=left_out,
        copies=copies,
        dropped=dropped,
        unread={readable(str(file)): readable(str(why)) for file, why in unread.items()},
    )


def _group(
    group: str | Mapping[Literal["manifest", "column"], str], parts: Sequence[SplitRows]
) -> list[str]:
    """Give every image its group; return sentences on them."""
    table = ImageTable([part.images for part in parts])
    listed = [part.listed for part in parts]
    count = 0
    for part, names in zip(parts, groups_of(group, listed, table), strict=True):
        part.groups = names
        count += len(names)
    several = len({name for part in parts for name in part.groups or ()})
    return [f"{count:,} images in {several:,} groups, none of which is divided"]


def _apart(part: SplitRows | None, test: SplitRows, what: str) -> tuple[SplitRows | None, str]:
    """Return those of ``part`` whose group the test set does not have, and a sentence."""
    if part is None:
        return None, ""
    theirs = set(test.groups or ())
    kept = np.array([name not in theirs for name in part.groups or ()], dtype=bool)
    out = int((~kept).sum())
    text = f"{out:,} {what} images are left out: their groups are in the test set too"
    return part.chosen(np.flatnonzero(kept)), text if out else ""


def _without(
    parts: Sequence[SplitRows], path: Path, kept_list: Path | None
) -> tuple[list[SplitRows], tuple[str, ...], str]:
    """Return the images that a list does not leave out, the names of the others, a sentence."""
    listed = Listed.together([part.listed for part in parts])
    out, text = excluded(listed, path, kept_list)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    kept = [
        part.chosen(np.flatnonzero(~own))
        for part, own in zip(parts, np.split(out, ends), strict=True)
    ]
    return kept, listed.chosen(np.flatnonzero(out)).names, text


def _training_set(parts: Sequence[SplitRows], *, grouped: bool) -> TrainingSet:
    listed = Listed.together([part.listed for part in parts])
    return TrainingSet(
        ImageTable([part.images for part in parts], listed.ids),
        list(listed.ids),
        np.repeat(np.arange(len(parts)) > 0, [len(part) for part in parts]),
        files=None if listed.files is None else list(listed.files),
        parents=None if listed.parents is None else list(listed.parents),
        groups=[name for part in parts for name in part.groups or ()] if grouped else None,
    )


def contaminant_count(normals: int, contamination: float) -> int:
    """Return ``int(γ·N/(1−γ))``, the contaminants that make up the share γ beside N normals.

    >>> contaminant_count(5000, 0.02)
    102
    """
    # A share such as 0.1 is not exact in binary: 900 normals at 10 % are 100, not int(99.99…).
    return int(contamination * normals / (1 - contamination) + 1e-6)


def _share_of_test(
    source: DatasetSource, test: SplitRows | None, share: float, seed: int
) -> tuple[SplitRows, SplitRows]:
    """Return the test images that become contaminants, and those that stay.

    Where images have groups, whole groups are taken, and what is normal in them goes.
    """
    if test is None:
        raise RecipeError(
            "dataset.contaminants_from_test: the dataset has no test set to take from"
        )
    if source.contaminants is not None and len(source.contaminants):
        raise RecipeError(
            "dataset.contaminants_from_test: the dataset has contaminants of its own; remove it"
        )
    labels = labels_of(test.split)
    anomalous = np.array([labels[row] == 1 for row in test.rows], dtype=bool)
    units = np.asarray(test.groups if test.groups else test.listed.ids)
    # Each unit once, where it first occurs, so that units of one image are drawn as images are.
    names, first = np.unique(units[anomalous], return_index=True)
    names = names[np.argsort(first)]
    take = int(len(names) * share)
    taken = np.isin(units, names[seeded_order(len(names), seed, "contaminants from test")[:take]])
    order = np.flatnonzero(anomalous)
    if test.groups is None:
        order = order[seeded_order(len(order), seed, "contaminants from test")]
    pool = np.array([row for row in order if taken[row]], dtype=np.int64)
    return test.chosen(pool), test.chosen(np.flatnonzero(~taken))


def _test_set(test: SplitRows) -> TestSet:
    all_labels, kinds = labels_of(test.split), getattr(test.split, "kinds", None)
    labels = [all_labels[row] for row in test.rows]
    files, parents = test.listed.files, test.listed.parents
    return TestSet(
        images=ImageTable([test.images], test.listed.ids),
        ids=list(test.listed.ids),
        labels=None if None in labels else np.array(labels, dtype=np.int64),
        kinds=None if kinds is None else [readable(str(kinds[row])) for row in test.rows],
        split=test.split,
        rows=test.rows,
        files=None if files is None else list(files),
        parents=None if parents is None else list(parents),
    )


def _fingerprint(*sets: TrainingSet | TestSet) -> str:
    """Return a hash of all ids and of every pixel that networks see, of sets of any size.

    What was only touched, moved or packed otherwise is the same data. It takes
    a hundredth of the time in which small files are read (tests/benchmarks/fingerprint.py).
    """
    digest = hashlib.sha256()
    for one in sets:
        images = one.images
        digest.update("\n".join(one.ids).encode())
        for start in range(0, len(images), 100):  # few enough to use the same memory again
            rows = np.arange(start, min(start + 100, len(images)))
            digest.update(images.read(rows).numpy().data)
    return digest.hexdigest()
