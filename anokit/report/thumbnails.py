"""Small pictures within the page."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["data_uri", "thumbnail"]

LONGEST = 320
"""Most pixels along the longer side of a thumbnail: twice those that a screen gives it."""

DRAWN = 64
"""Longest side of pictures that are kept pixel by pixel, since JPEG would blur them."""


def thumbnail(image: npt.NDArray[np.uint8]) -> tuple[str, int, int]:
    """Return an image ``[C, H, W]`` as a ``data:`` address with its width and height in pixels.

    RGB where C is 3, otherwise the mean of its channels in grey.
    """
    pixels = image.transpose(1, 2, 0)
    if pixels.shape[2] != 3:
        pixels = np.rint(pixels.mean(axis=2)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if max(picture.size) <= DRAWN:
        picture.save(buffer, format="PNG")
        return data_uri(buffer.getvalue(), "png"), *picture.size
    picture.save(buffer, format="JPEG", quality=88)
    return data_uri(buffer.getvalue(), "jpeg"), *picture.size


def data_uri(content: bytes, kind: str = "png") -> str:
    """Return an image file as a ``data:`` address, so that a page needs no other file."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")
