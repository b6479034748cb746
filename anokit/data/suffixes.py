"""Suffixes of image files: what is an image is told by them alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".bigtiff", ".ome"})
"""Suffixes that tifffile reads."""
NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats that Pillow names but reads only with outside help."""


def is_image(path: Path) -> bool:
    """Return whether the suffix of a file is that of an image.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import is_image
    >>> is_image(Path("a.TIF")), is_image(Path("notes.txt"))
    (True, False)
    """
    return path.suffix.lower() in image_suffixes()


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, lower case with dot, of every format that Pillow or tifffile opens."""
    return TIFF_SUFFIXES | frozenset(
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in NO_PICTURES
    )
