"""Which file of an image folder is what: training image, contaminant, test image, mask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image

from anokit.errors import DataError, MissingDataError

NORMAL_FOLDERS = ("normal", "good")
"""Sub-folders of test/ that hold normal images; every other one holds an anomalous kind."""
KNOWN_FOLDERS = ("train", "contaminants", "test", "ground_truth")
NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow names but reads only with outside help."""

TREE = """expected one of
  {root}/**/*.png                        unlabelled images, a training set without a test
  {root}/train/**                        training images, in any sub-folders
  {root}/contaminants/**                 optional: anomalies that `contamination` may mix in
  {root}/test/normal/**  (or good/)      optional: normal test images
  {root}/test/<kind>/**                  optional: anomalous test images
  {root}/ground_truth/<kind>/<stem>_mask.png    optional: masks, as in MVTec AD"""


@dataclass(frozen=True)
class Layout:
    """The image files of a folder, sorted by path, or those that are listed."""

    root: Path
    """what ids are relative to; the working directory where files are listed"""
    train: Sequence[Path]
    contaminants: Sequence[Path] = ()
    test: Sequence[Path] = ()
    masks: Mapping[Path, Path] = field(default_factory=dict)
    """mask by test image"""
    notices: Sequence[str] = ()

    def id(self, path: Path) -> str:
        """Return the path of a file below the root; as it was given where it does not lie there."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def kind(self, path: Path) -> str:
        """Return the sub-folder of test/ or contaminants/ that a file lies in, or that folder."""
        parts = path.relative_to(self.root).parts
        return parts[1] if len(parts) > 2 else parts[0]

    def label(self, path: Path) -> int:
        """Return 0 for a normal test image, 1 for an anomalous one."""
        return int(self.kind(path) not in NORMAL_FOLDERS)


def read_layout(root: Path) -> Layout:
    """Look through ``root`` without opening a file.

    Raises
    ------
    MissingDataError
        Where the folder is not there or holds no image.
    DataError
        Where there is a test/ without a train/, or images lie in test/ itself.
    """
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise MissingDataError(f"image folder {root} {problem}; {TREE.format(root=root)}")
    if not (root / "train").is_dir():
        return read_bare(root)
    train = find_images(root / "train")
    if not train:
        raise MissingDataError(f"{root / 'train'} holds no image; {TREE.format(root=root)}")
    notices = []
    other = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name not in KNOWN_FOLDERS)
    if other := [name for name in other if find_images(root / name)]:
        notices.append(
            f"{root}: not used: images in {', '.join(other)} (known: train, contaminants, test)"
        )
    kinds = {p.relative_to(root).parts[1] for p in train if len(p.relative_to(root).parts) > 2}
    if len(kinds) > 1:
        notices.append(
            f"{root}: all of {', '.join(f'train/{kind}' for kind in sorted(kinds))} is taken as "
            "normal; known anomalies belong into contaminants/"
        )
    test = find_test(root, notices)
    return Layout(
        root=root,
        train=train,
        contaminants=find_images(root / "contaminants"),
        test=test,
        masks=find_masks(root, test),
        notices=notices,
    )


def read_bare(root: Path) -> Layout:
    """Return the layout of a folder without train/: everything is an unlabelled training image."""
    if (root / "test").is_dir():
        raise DataError(f"{root} has test/ but no train/; {TREE.format(root=root)}")
    train = find_images(root)
    if not train:
        raise MissingDataError(f"image folder {root} holds no image; {TREE.format(root=root)}")
    notice = f"{root} has no train/: all {len(train)} images below it are taken for training"
    return Layout(root=root, train=train, notices=[notice])


def find_test(root: Path, notices: list[str]) -> list[Path]:
    """Return the images of test/, all of which lie in a sub-folder."""
    test = find_images(root / "test")
    loose = [path for path in test if path.parent == root / "test"]
    if loose:
        raise DataError(
            f"{loose[0]} lies in test/ itself, so nothing says whether it is normal; "
            f"{TREE.format(root=root)}"
        )
    if test and not any((root / "test" / name).is_dir() for name in NORMAL_FOLDERS):
        notices.append(f"{root}/test has neither normal/ nor good/: every test image is anomalous")
    return test


def find_masks(root: Path, test: Sequence[Path]) -> dict[Path, Path]:
    """Return the mask of each test image that has one: same kind, stem with or without _mask."""
    by_place = {
        path.relative_to(root / "ground_truth").with_suffix(""): path
        for path in find_images(root / "ground_truth")
    }
    found = {}
    for image in test:
        place = image.relative_to(root / "test").with_suffix("")
        for name in (f"{place.name}_mask", place.name):
            if mask := by_place.get(place.with_name(name)):
                found[image] = mask
                break
    return found


def find_images(folder: Path) -> list[Path]:
    """Return all image files below ``folder``, told by their suffix, sorted by POSIX path.

    Links to folders are followed, each folder once; names that begin with a dot are left out.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(place, name) for name in files if not name.startswith(".") and is_image(Path(name))
        ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def is_image(path: Path) -> bool:
    """Return whether the suffix of a file is that of an image."""
    return path.suffix.lower() in image_suffixes()


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, lower case with dot, of every format that Pillow can open."""
    return frozenset(
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in NO_PICTURES
    )
