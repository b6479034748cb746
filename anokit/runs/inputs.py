"""Which image files a command is given, found one after the other and listed on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anokit.data.finding import (
    Found,
    expand,
    is_pattern,
    is_skipped,
    match_images,
    output_around,
    walk_images,
)
from anokit.data.suffixes import is_image
from anokit.errors import CheckpointError, UsageError
from anokit.store.files import writing

CHUNK = 2**20
"""Bytes of a list that are read at once."""


@dataclass(frozen=True)
class FileList:
    """Names of files in a file, each ended by a zero byte, as the system has them."""

    path: Path
    count: int
    digest: str
    """of all names in their order"""

    def names(self) -> Iterator[str]:
        """Yield all names."""
        rest = b""
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                *whole, rest = (rest + chunk).split(b"\0")
                yield from map(os.fsdecode, whole)


def list_files(given: Sequence[str | Path], path: Path, found: Found, out: Path | None) -> FileList:
    """Write the names of all image files that are ``given`` to a list; note what is passed over.

    Raises
    ------
    UsageError
        Where a path does not exist, there is no image at all, or ``out`` is one of the images.
    CheckpointError
        Where the list cannot be written.
    """
    digest = hashlib.sha256()
    count = 0
    try:
        with writing(path, shared=True) as file:
            for name in find_files(given, found):
                if out is not None and name.name == out.name and _same(name, out):
                    raise UsageError(
                        f"--out {out}: is one of the images to be scored; name another file"
                    )
                digest.update(os.fsencode(name) + b"\0")
                file.write(f"{name}\0")
                count += 1
    except CheckpointError as error:
        raise UsageError(f"--out {error}" if out else str(error)) from None
    if not count:
        listed = ", ".join(str(one) for one in given)
        passed = found.skipped()
        raise UsageError(
            f"no images in {listed}; expected files with the suffix of an image, such as .png, "
            f".jpg or .tif, that are not hidden{f' (passed over: {passed})' if passed else ''}"
        )
    return FileList(path, count, digest.hexdigest())


def find_files(given: Sequence[str | Path], found: Found) -> Iterator[Path]:
    """Yield what is given, what patterns match and what lies below folders, each file once.

    Raises
    ------
    UsageError
        Where a path does not exist.
    """
    folders: list[Path] = []
    single: set[Path] = set()
    for path in map(expand, given):
        if path.is_dir():
            for image in walk_images(path, found):
                if image not in single and not _below(image, folders):
                    yield image
            folders.append(path)
            continue
        if is_pattern(path):
            images = match_images(path, found)
        elif os.path.lexists(path):
            images = iter([path])
        else:
            raise UsageError(
                f"{path}: no such file or folder, seen from {Path.cwd()}; name images, folders of "
                "images, or patterns in quotes such as 'photos/*.jpg'"
            )
        for image in images:
            if image not in single and not _below(image, folders):
                single.add(image)
                yield image


def _below(path: Path, folders: Sequence[Path]) -> bool:
    """Return whether an image was found below one of the folders that were looked through."""
    return any(
        path.is_relative_to(folder)
        and not any(map(is_skipped, path.relative_to(folder).parts[:-1]))
        and is_image(path)
        and not path.name.startswith(".")
        and output_around(path.parent, below=folder) is None
        for folder in folders
    )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
