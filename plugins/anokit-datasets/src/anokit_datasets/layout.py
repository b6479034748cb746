"""Which file of an image folder is what: training image, contaminant, test image, mask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from anokit.data import find_images, look_through, seeded_order
from anokit.errors import DataError, MissingDataError
from anokit_datasets.folder_names import (
    DEFECT_FOLDERS,
    HELD_OUT,
    KNOWN_FOLDERS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    NORMAL_FOLDERS,
    PRIVATE_FOLDERS,
    TEST_FOLDERS,
    TRAIN_FOLDERS,
    TREE,
    VALIDATION_FOLDERS,
    check_names,
)

NAMED = 3
"""Files that a notice names; the rest is counted."""

Validation = Literal["leave", "train", "test"]
"""What the images of validation/ are for."""


@dataclass(frozen=True)
class Layout:
    """The image files of a folder, sorted by path, or those that are listed."""

    root: Path
    """what ids are relative to; the working directory where files are listed"""
    train: Sequence[Path]
    contaminants: Sequence[Path] = ()
    test: Sequence[Path] = ()
    masks: Mapping[Path, Sequence[Path]] = field(default_factory=dict)
    """masks by test image; what any of them marks is anomalous"""
    depth: int = 1
    """which folder below the root, counted from 0, tells the kind"""
    notices: Sequence[str] = ()
    closed: Sequence[tuple[Path, str]] = ()
    """folders that could not be looked into, and why"""
    where: str = ""
    """what names the files in messages, where it is not the root"""

    def id(self, path: Path) -> str:
        """Return the path of a file below the root; as it was given where it does not lie there."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def kind(self, path: Path) -> str:
        """Return the sub-folder of test/ or contaminants/ that a file lies in, or that folder."""
        parts = path.relative_to(self.root).parts
        return parts[self.depth] if len(parts) > self.depth + 1 else parts[-2]

    def label(self, path: Path) -> int:
        """Return 0 for a normal test image, 1 for an anomalous one."""
        return int(self.kind(path).lower() not in NORMAL_FOLDERS)

    def labels(self, paths: Sequence[Path]) -> list[int] | None:
        """Return the labels of test images; None where they have none."""
        return [self.label(path) for path in paths]


def read_layout(
    root: Path, *, accept_defects: bool = False, seed: int = 0, validation: Validation = "leave"
) -> Layout:
    """Look through ``root`` without opening a file.

    Parameters
    ----------
    accept_defects
        Whether folders that are called after defects or masks may be trained on.
    seed
        of the draw of normal test images where there are but two folders, good and bad.
    validation
        What to do with validation/, normal images beside train/.

    Raises
    ------
    MissingDataError
        Where the folder is not there or holds no image.
    DataError
        Where there is a test/ without a train/, images lie in test/ itself, or a folder to be
        trained on is called after defects or masks and that is not accepted.
    """
    if not root.is_dir():
        missing = "does not exist" + ("" if root.is_absolute() else f", seen from {Path.cwd()}")
        problem = "is a file" if root.exists() else missing
        raise MissingDataError(f"image folder {root} {problem}; {TREE.format(root=root)}")
    beside = child(root, VALIDATION_FOLDERS)
    train_folder = child(root, TRAIN_FOLDERS)
    if validation != "leave" and (beside is None or train_folder is None):
        raise DataError(
            f"validation = {validation!r}: {root} has no {'train' if beside else 'validation'}/; "
            "remove it under [dataset]"
        )
    if train_folder is None:
        return read_pair(root, seed) or read_bare(root, accept_defects)
    train = find_images(train_folder)
    if not train:
        raise MissingDataError(f"{train_folder} holds no image; {TREE.format(root=root)}")
    notices: list[str] = []
    other = sorted(
        p.name for p in root.iterdir() if p.is_dir() and p.name.lower() not in KNOWN_FOLDERS
    )
    if other := [name for name in other if find_images(root / name)]:
        notices.append(
            f"{root}: not used: images in {', '.join(other)} (known: train, contaminants, test)"
        )
    more = read_validation(beside, validation, notices) if beside else []
    notices += [
        f"{folder} has no labels and is not used; a finished run scores it: "
        f"anokit score RUN {folder}"
        for folder in sorted(root.iterdir())
        if folder.name.lower() in PRIVATE_FOLDERS and folder.is_dir()
    ]
    train += more if validation == "train" else []
    for folder in (train_folder, *([beside] if beside and validation == "train" else [])):
        within = [path for path in train if path.is_relative_to(folder)]
        notices += check_names(folder, within, accept_defects)
    parts = [path.relative_to(root).parts for path in train]
    kinds = {"/".join(names[:2]) for names in parts if len(names) > 2}
    if len({kind.split("/")[1].lower() for kind in kinds}) > 1:
        listed = ", ".join(sorted(kinds))
        notices.append(
            f"{root}: all of {listed} is taken as normal; known anomalies belong into contaminants/"
        )
    passed, closed = passed_over(root)
    notices += passed
    contaminants = child(root, {"contaminants"})
    layout = Layout(
        root=root,
        train=train,
        contaminants=find_images(contaminants) if contaminants else (),
        notices=notices,
        closed=closed,
    )
    test_folder = child(root, TEST_FOLDERS)
    if test_folder is None:
        return layout
    mask_folder = child(root, MASK_FOLDERS) or child(test_folder, MASK_FOLDERS)
    test = find_test(root, test_folder, notices)
    layout = with_masks(replace(layout, test=test), test_folder, mask_folder, notices)
    return replace(layout, test=[*test, *more]) if validation == "test" else layout


def read_validation(folder: Path, purpose: Validation, notices: list[str]) -> list[Path]:
    """Return the images of validation/; say so where they are not used."""
    images = find_images(folder)
    if images and purpose == "leave":
        notices.append(
            f"{folder} is not used: {len(images):,} images; validation = 'train' or 'test' under "
            "[dataset] takes them as normal ones"
        )
    for path in images if purpose == "test" else ():
        if path.relative_to(folder).parts[0].lower() not in NORMAL_FOLDERS:
            raise DataError(
                f"{path}: validation = 'test' takes normal images, expected {folder}/good/; "
                "move it there, or leave the option out"
            )
    return images


def child(folder: Path, names: Collection[str]) -> Path | None:
    """Return the sub-folder that has one of ``names`` in any case, the first by name."""
    return next(
        (p for p in sorted(folder.iterdir()) if p.name.lower() in names and p.is_dir()), None
    )


def passed_over(root: Path) -> tuple[list[str], list[tuple[Path, str]]]:
    """Return a sentence on files below the root that are not taken as images, if any.

    And the folders that could not be looked into, and why.
    """
    found = look_through(root)
    skipped = found.skipped()
    return [f"{root}: passed over: {skipped}"] if skipped else [], found.unreadable


def read_pair(root: Path, seed: int) -> Layout | None:
    """Return the layout of two bare folders, normal and anomalous, or None where these are not.

    As Normal/ and Anomaly/ of VisA below Data/Images, with its masks in Data/Masks. One in
    `HELD_OUT` of the normal images, by seed, is for testing.
    """
    place = root
    for name in ("data", "images"):
        place = child(place, {name}) or place
    folders = [p for p in sorted(place.iterdir()) if p.is_dir()]
    good = [p for p in folders if p.name.lower() in NORMAL_FOLDERS]
    bad = [p for p in folders if p.name.lower() in DEFECT_FOLDERS]
    normal = [path for folder in good for path in find_images(folder)]
    anomalous = [path for folder in bad for path in find_images(folder)]
    if not normal or not anomalous or child(root, TEST_FOLDERS):
        return None
    out = set(seeded_order(len(normal), seed, "pair")[: len(normal) // HELD_OUT].tolist())
    names = ", ".join(p.relative_to(root).as_posix() for p in [*good, *bad])
    text = (
        f"{root} has no train/: of {names}, {len(normal) - len(out)} normal images are taken for "
        f"training, {len(out)} normal and {len(anomalous)} anomalous ones for testing"
    )
    passed, closed = passed_over(root)
    notices = [text, *passed]
    layout = Layout(
        root=root,
        train=[path for row, path in enumerate(normal) if row not in out],
        test=[*(path for row, path in enumerate(normal) if row in out), *anomalous],
        depth=len(place.relative_to(root).parts),
        notices=notices,
        closed=closed,
    )
    masks = child(place, MASK_FOLDERS) or child(place.parent, MASK_FOLDERS if place != root else ())
    return with_masks(layout, place, masks, notices)


def read_bare(root: Path, accept_defects: bool) -> Layout:
    """Return the layout of a folder without train/: everything is an unlabelled training image."""
    if child(root, TEST_FOLDERS):
        raise DataError(f"{root} has test/ but no train/; {TREE.format(root=root)}")
    train = find_images(root)
    if not train:
        skipped = look_through(root).skipped()
        more = f" (passed over: {skipped})" if skipped else ""
        raise MissingDataError(
            f"image folder {root} holds no image{more}; {TREE.format(root=root)}"
        )
    passed, closed = passed_over(root)
    notices = [
        *check_names(root, train, accept_defects, beside_good=True),
        f"{root} has no train/: all {len(train)} images below it are one set without labels",
        *passed,
    ]
    return Layout(root=root, train=train, notices=notices, closed=closed)


def find_test(root: Path, folder: Path, notices: list[str]) -> list[Path]:
    """Return the images of test/, all of which lie in a sub-folder."""
    test = [
        path
        for path in find_images(folder)
        if path.parent == folder or path.relative_to(folder).parts[0].lower() not in MASK_FOLDERS
    ]
    loose = [path for path in test if path.parent == folder]
    if loose:
        raise DataError(
            f"{loose[0]} lies in {folder.name}/ itself, so nothing says whether it is normal; "
            f"{TREE.format(root=root)}"
        )
    if test and child(folder, NORMAL_FOLDERS) is None:
        notices.append(f"{folder} has neither normal/ nor good/: every test image is anomalous")
    return test


def with_masks(layout: Layout, images: Path, folder: Path | None, notices: list[str]) -> Layout:
    """Return the layout with the masks of its test images; say which do not fit.

    A mask has its image's place below ``folder``, with one of `MASK_ENDINGS`, or is one of several
    in a folder of that name. Letters may differ in case.
    """
    if folder is None:
        return layout
    by_place: dict[str, list[Path]] = {}
    for path in find_images(folder):
        place = path.relative_to(folder).with_suffix("")
        for key in (place, place.parent):
            by_place.setdefault(key.as_posix().lower(), []).append(path)
    found: dict[Path, Sequence[Path]] = {}
    for image in layout.test:
        place = image.relative_to(images).with_suffix("")
        keys = (place.with_name(place.name + ending).as_posix().lower() for ending in MASK_ENDINGS)
        if masks := next((by_place[key] for key in keys if key in by_place), None):
            found[image] = masks
    used = {path for masks in found.values() for path in masks}
    unused = [path for path in find_images(folder) if path not in used]
    bare = [path for path in layout.test if layout.label(path) and path not in found]
    for files, what in (
        (unused, "masks in {0} fit no test image and are not used"),
        (bare, "anomalous test images have no mask in {0}"),
    ):
        if files:
            named = ", ".join(layout.id(path) for path in files[:NAMED])
            more = ", …" if len(files) > NAMED else ""
            notices.append(f"{len(files)} {what.format(folder)}: {named}{more}")
    return replace(layout, masks=found, notices=notices)
