"""Image files that a recipe lists one by one or by patterns, instead of naming their folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

from anokit.data import Found, expand, is_image, match_images
from anokit.errors import DataError, MissingDataError
from anokit_datasets.layout import Layout


def read_list(entries: Sequence[str]) -> Layout:
    """Return the layout of listed files: all of them are unlabelled training images.

    Each entry is the path of an image file or a pattern (``*``, ``?``, ``[…]``, and ``**`` for any
    folders), relative to the working directory. A file that is there is itself, whatever its name
    looks like. The files come in natural order (``img2`` before ``img10``); one that several
    entries or links lead to comes once.

    Raises
    ------
    MissingDataError
        Where a path is not there, or a pattern matches nothing.
    DataError
        Where a path is a folder or no image, or a pattern matches files but no image.
    """
    notices: list[str] = []
    closed: list[tuple[Path, str]] = []
    found = [path for entry in entries for path in matching(entry, notices, closed)]
    found.sort(key=lambda path: (natural_key(path.as_posix()), path.as_posix()))
    once: dict[str, Path] = {}
    for path in found:
        once.setdefault(os.path.realpath(path), path)
    notices.append(f"files: all {len(once)} listed images are one set without labels")
    return Layout(
        root=Path(), train=list(once.values()), notices=notices, closed=closed, where="files"
    )


def matching(entry: str, notices: list[str], closed: list[tuple[Path, str]]) -> list[Path]:
    """Return the image files that one entry stands for, at least one; note what is left out.

    ``closed`` takes the folders that could not be looked into, and why.
    """
    path = expand(entry)
    if path.is_file():
        if not is_image(path):
            raise DataError(
                f"files: {path} is no image: expected a suffix such as .png, .jpg or .tif, got "
                f"{path.suffix or 'none'!r}; remove it from the list"
            )
        return [path]
    if path.is_dir():
        raise DataError(
            f"files: {path} is a folder, expected files; set root = {entry!r} instead, or list "
            f"{(path / '*.png').as_posix()!r}, say"
        )
    if not has_magic(entry):
        raise MissingDataError(
            f"files: {path} does not exist (looked for from {Path.cwd()}); expected the path of an "
            "image file or a pattern such as 'photos/*.jpg'; correct or remove it"
        )
    passed = Found([])
    images = list(match_images(path, passed))
    skipped = passed.skipped()
    if not images and skipped:
        raise DataError(
            f"files: pattern {entry!r} matches no image, only {skipped}; expected suffixes such as "
            ".png, .jpg or .tif; correct the pattern"
        )
    if not images:
        raise MissingDataError(
            f"files: pattern {entry!r} matches no file (looked for from {Path.cwd()}); expected "
            "one image at least; correct the pattern ('**/*.jpg' looks into all sub-folders)"
        )
    if skipped:
        notices.append(f"files: of what {entry!r} matches, passed over: {skipped}")
    closed += passed.unreadable
    return images


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which numbers in names compare as numbers."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]
