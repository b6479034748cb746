"""Image files below folders: the one rule by which training, masks, `scan` and `score` find them.

Told by their suffix, in upper or lower case; hidden files and folders, checkpoint folders of
notebooks and what archives of a Mac leave behind are no images; links to folders are followed, each
folder once.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image

SKIPPED_FOLDERS = frozenset({"__MACOSX", "__pycache__", "@eaDir"})
"""Folders that tools leave beside images, with previews or parts of them; hidden ones as well."""
TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".bigtiff", ".ome"})
"""Suffixes that tifffile reads."""
NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats that Pillow names but reads only with outside help."""
SILENT = frozenset({"thumbs.db", "desktop.ini"})
NAMED = 3
"""Kinds of skipped files that are named."""


@dataclass
class Found:
    """Image files of a folder, and what was passed over there."""

    images: list[Path]
    """sorted by POSIX path below the folder"""
    others: Counter[str] = field(default_factory=Counter)
    """files that are no images, by suffix in lower case"""
    hidden: int = 0
    """hidden image files, and image files in hidden or skipped folders directly below one looked at
    """

    def skipped(self) -> str:
        """Return what was passed over, counted and named, in words; empty where nothing was."""
        parts = []
        if self.others:
            count = sum(self.others.values())
            common = [suffix or "no suffix" for suffix, _ in self.others.most_common(NAMED)]
            more = ", …" if len(self.others) > NAMED else ""
            parts.append(f"{count:,} that are no images ({', '.join(common)}{more})")
        if self.hidden:
            parts.append(f"{self.hidden:,} hidden or in hidden folders")
        return " and ".join(parts)


def find_images(folder: Path) -> list[Path]:
    """Return all image files below ``folder``, sorted by POSIX path; see `look_through`."""
    return look_through(folder).images


def look_through(folder: Path) -> Found:
    """Return the image files below ``folder`` and what is passed over, without opening a file."""
    found = Found([])
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in folders:
            if is_skipped(name):
                found.hidden += sum(is_image(Path(entry)) for entry in _names(Path(place, name)))
        # Sorted, so that of two ways to one folder the same is taken on every machine.
        folders[:] = sorted(name for name in folders if not is_skipped(name))
        for name in files:
            if not is_image(Path(name)):
                if not name.startswith(".") and name.lower() not in SILENT:
                    found.others[Path(name).suffix.lower()] += 1
            elif name.startswith("."):
                found.hidden += 1
            else:
                found.images.append(Path(place, name))
    found.images.sort(key=lambda path: path.relative_to(folder).as_posix())
    return found


def expand(path: str | Path) -> Path:
    """Return a path with ``~`` as the home folder; environment variables stay as they are.

    A relative path stays relative, to the working directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody's home, such as ~nobody-of-that-name
        return Path(path)


def is_skipped(name: str) -> bool:
    """Return whether a folder of this name is passed over."""
    return name.startswith(".") or name in SKIPPED_FOLDERS


def is_image(path: Path) -> bool:
    """Return whether the suffix of a file is that of an image."""
    return path.suffix.lower() in image_suffixes()


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, lower case with dot, of every format that Pillow or tifffile opens."""
    return TIFF_SUFFIXES | frozenset(
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in NO_PICTURES
    )


def _names(folder: Path) -> Sequence[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return ()
