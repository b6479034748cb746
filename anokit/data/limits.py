"""How large an image may be: one limit for all that is decoded, against decompression bombs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile

from anokit.errors import UsageError

VARIABLE = "ANOKIT_MAX_PIXELS"
"""Environment variable with the most pixels that an image may have."""
BYTES = 3
"""Bytes of a pixel, where an image is measured in bytes."""
DIGITS = 18
"""Most digits of the limit."""


class TooLargeError(ValueError):
    """An image has more pixels than are admitted."""


def most_pixels() -> int:
    """Return the most pixels of an image: what the variable says, by default what Pillow admits.

    Raises
    ------
    UsageError
        Where the variable is no whole number above 0.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        most = Image.MAX_IMAGE_PIXELS
        return sys.maxsize if most is None else 2 * most  # of half of that Pillow only warns
    if not re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", text) or not int(text):
        raise UsageError(
            f"{VARIABLE}={text[:40]}: expected a whole number of pixels above 0, such as 400000000 "
            "for images of 20,000 × 20,000; correct or unset it"
        )
    return int(text)


@contextmanager
def open_picture(file: Path | BinaryIO) -> Iterator[ImageFile]:
    """Open an image by Pillow under the limit, which is the process's as Pillow keeps it.

    Raises
    ------
    TooLargeError
        Where it has more pixels, before any is decoded.
    """
    most = most_pixels()
    if os.environ.get(VARIABLE, "").strip():
        Image.MAX_IMAGE_PIXELS = (most + 1) // 2
    try:
        with Image.open(file) as opened:
            yield opened
    except Image.DecompressionBombError as error:
        found = re.search(r"[0-9]+", str(error))
        count = int(found[0]) if found else most + 1
        raise TooLargeError(
            f"{count:,} pixels, over the limit of {most:,}; {VARIABLE}={count} admits it"
        ) from None
