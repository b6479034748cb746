"""The same picture more than once: images that are equal to the last pixel, as networks see them.

Copies within the training set count several times, and hide from scores that compare an image with
the others; copies across training and test set, or in both classes of the test set, make figures
mean something else than they seem to. All are found and told; ``[dataset] duplicates`` decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anokit.data.duplicates import duplicates_across
from anokit.data.rows import SplitRows, labels_of
from anokit.data.sets import ImageTable, SamePicture, TestSet, TrainingSet, Wholes
from anokit.errors import DataError

BLOCK = 64
NAMED = 3
"""Pictures that a sentence names; the rest is counted."""


@dataclass(frozen=True)
class Pictures:
    """What some images of a split show: tiles of one photograph are one picture."""

    part: SplitRows
    wholes: Wholes
    keys: list[bytes]
    """M hashes of pixels, equal where pictures are"""

    @classmethod
    def of(cls, part: SplitRows) -> Pictures:
        """Return the pictures of ``part``."""
        wholes = Wholes.of(part.listed.ids, part.listed.parents)
        table = ImageTable([part.images])
        content = [hashlib.blake2b(digest_size=16) for _ in range(len(wholes))]
        for start in range(0, len(part), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(part)))
            images = table.read(rows).numpy()
            for row, image in zip(rows, images, strict=True):
                content[wholes.of_tile[row]].update(np.ascontiguousarray(image))
        return cls(part, wholes, [one.digest() for one in content])

    def name(self, place: int) -> str:
        """Return what the user calls a picture."""
        first = int(self.wholes.first[place])
        files = self.part.listed.files
        return (files[first] if files else "") or self.wholes.ids[place]

    def places(self) -> dict[bytes, list[int]]:
        """Return where each picture is."""
        found: dict[bytes, list[int]] = {}
        for place, key in enumerate(self.keys):
            found.setdefault(key, []).append(place)
        return found

    def kept(self, keep: Iterable[int]) -> SplitRows:
        """Return the images of the pictures at ``keep``."""
        return self.part.chosen(np.flatnonzero(np.isin(self.wholes.of_tile, list(keep))))

    def names_beside(self, keep: Iterable[int]) -> list[str]:
        """Return the names of all pictures but those at ``keep``."""
        kept = set(keep)
        return [self.name(place) for place in range(len(self.keys)) if place not in kept]


def copies_in(training: Sequence[SplitRows], test: SplitRows | None) -> tuple[SamePicture, ...]:
    """Return every picture that occurs more than once, in the order of its first occurrence."""
    names: dict[bytes, list[str]] = {}
    for pictures in map(Pictures.of, training):
        for place, key in enumerate(pictures.keys):
            names.setdefault(key, []).append(pictures.name(place))
    tested: dict[bytes, list[tuple[str, int | None]]] = {}
    if test is not None:
        labels, pictures = labels_of(test.split), Pictures.of(test)
        for place, key in enumerate(pictures.keys):
            label = labels[test.rows[pictures.wholes.first[place]]]
            tested.setdefault(key, []).append((pictures.name(place), label))
    found = []
    for key in {**names, **tested}:
        known, there = names.get(key, []), tested.get(key, [])
        if len(known) + len(there) > 1:
            texts, classes = zip(*there, strict=True) if there else ((), ())
            found.append(SamePicture(tuple(known), tuple(texts), tuple(classes)))
    return tuple(found)


@dataclass(frozen=True)
class Once:
    """What is left where every picture is taken once."""

    train: SplitRows
    pool: SplitRows | None
    test: SplitRows | None
    dropped: Mapping[str, tuple[str, ...]]
    """names of what was left out, by what it was"""


def each_once(train: SplitRows, pool: SplitRows | None, test: SplitRows | None) -> Once:
    """Leave copies out.

    The test set is asked first, so that figures stay those of the same images: of its copies the
    first is kept, and none of a picture that is in both classes, since nothing says which is right.
    No picture of it is trained on. Of contaminants and training images, which nobody knows, the
    contaminant is kept; of equal ones the first.
    """
    labels = [] if test is None else [labels_of(test.split)[row] for row in test.rows]
    dropped: dict[str, tuple[str, ...]] = {}
    taken: set[bytes] = set()
    left: list[SplitRows | None] = []
    for part, what in ((test, "test"), (pool, "contaminants"), (train, "training")):
        if part is None:
            left.append(None)
            continue
        pictures = Pictures.of(part)
        keep = []
        for key, places in pictures.places().items():
            classes = {labels[int(pictures.wholes.first[p])] for p in places if part is test}
            if key not in taken and len(classes - {None}) < 2:
                keep.append(places[0])
        taken.update(pictures.keys)
        if len(keep) < len(pictures.keys):
            dropped[what] = tuple(pictures.names_beside(keep))
            part = pictures.kept(keep)
        left.append(part)
    last = left[2]
    assert last is not None
    return Once(last, left[1], left[0], dropped)


def about_copies(found: Sequence[SamePicture]) -> list[str]:
    """Return sentences on pictures that occur more than once."""
    said = []
    within = [one for one in found if len(one.training) > 1]
    if within:
        more = sum(len(one.training) - 1 for one in within)
        said.append(
            f"{more:,} training images are copies of others, to the last pixel "
            f"({_named(one.training for one in within)}): they count more than once, and as their "
            "twins are known, thresholds of fitted scores may lie too low"
        )
    across = [one for one in found if one.training and one.test]
    if across:
        count = sum(len(one.test) for one in across)
        said.append(
            f"{count:,} test images are in the training set too, to the last pixel "
            f"({_named((*one.test, *one.training) for one in across)}), which makes figures look "
            "better than they are"
        )
    torn = [one for one in found if one.in_both_classes]
    if torn:
        said.append(
            f"{len(torn):,} pictures are in both classes of the test set "
            f"({_named(one.test for one in torn)}), so that no score can tell them right"
        )
    again = [one for one in found if len(one.test) > 1 and not one.in_both_classes]
    if again:
        more = sum(len(one.test) - 1 for one in again)
        said.append(
            f"{more:,} test images are copies of others of the test set "
            f"({_named(one.test for one in again)}) and count more than once"
        )
    return said


def judged(copies: Sequence[SamePicture], wanted: str | None) -> list[str]:
    """Return sentences on copies, or raise DataError where ``wanted`` is ``"error"``."""
    said = about_copies(copies)
    if said and wanted == "error":
        raise DataError(
            f"dataset.duplicates = 'error': {'; '.join(said)}; remove files, or set duplicates = "
            "'drop' to take each picture once"
        )
    if said:
        said[-1] += "; duplicates = 'drop' under [dataset] takes each picture once"
    return said


def about_alike(train: TrainingSet, test: TestSet, copies: Sequence[SamePicture]) -> list[str]:
    """Say which test images show nearly what a training image shows; copies are told already."""
    known = {name for one in copies if one.training for name in one.test}
    files = test.files or [""] * len(test)
    names = [file or name for file, name in zip(files, test.parents or test.ids, strict=True)]
    pairs = [
        pair for pair in duplicates_across(train.images, test.images) if names[pair[0]] not in known
    ]
    if not pairs:
        return []
    shown = [f"{test.ids[row]} and {train.ids[other]}" for row, other in pairs[:NAMED]]
    more = ", …" if len(pairs) > NAMED else ""
    text = (
        f"{len(pairs):,} of {len(test):,} test images show nearly what a training image shows "
        f"({', '.join(shown)}{more}), which makes figures look better than they are; "
        'group = "near-duplicates" under [dataset] keeps such images together'
    )
    return [text]


def about_dropped(dropped: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence on what was left out."""
    if not dropped:
        return []
    words = {"training": "training images", "contaminants": "contaminants", "test": "test images"}
    parts = [
        f"{len(names):,} {words[what]} ({', '.join(names[:NAMED])}"
        + (", …)" if len(names) > NAMED else ")")
        for what, names in dropped.items()
    ]
    return [f"left out as copies, since duplicates = 'drop': {'; '.join(parts)}"]


def _named(groups: Iterable[Sequence[str]]) -> str:
    listed = list(groups)
    shown = [" = ".join(names[:NAMED]) for names in listed[:NAMED]]
    return ", ".join(shown) + (", …" if len(listed) > NAMED else "")
