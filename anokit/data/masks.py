"""From the file of a mask to what is marked as anomalous, by one rule for every format."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from anokit.data.limits import open_picture
from anokit.data.pictures import by_pillow, check_file, tried
from anokit.data.suffixes import TIFF_SUFFIXES
from anokit.data.tiffs import Raw, raw_tiff

LOSSY = frozenset({"AVIF", "JPEG", "JPEG2000", "MPO", "WEBP"})
"""Pillow's formats whose black may be not quite black."""
RINGING = 16
"""Grey values of 255 up to which nobody can tell what of a JPEG was black."""


def try_to_decode_mask(path: Path) -> tuple[npt.NDArray[np.bool_] | None, str]:
    """Return the mask ``[H, W]`` in ``path`` and "", or None and why it cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import try_to_decode_mask
    >>> mask, reason = try_to_decode_mask(Path("masks/a.png"))
    >>> mask.shape, int(mask.sum())
    ((4, 6), 2)
    """
    return tried(lambda: decode_mask(path), path)


def decode_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Return what of a mask is not background, bool ``[H, W]``, turned as its tag says.

    Whatever is not 0 (black) is marked, at any depth: 8-bit masks of 255, label images that count
    from 1 in 8, 16 or 32 bits, floats, palettes by their colours. Of a JPEG, WebP or AVIF, whose
    black is not quite black, what is more than half as bright as its brightest. Alpha tells
    nothing, unless all that can be seen is one colour: then what is not transparent is marked.

    Raises whatever the decoder raises on a damaged file, and ValueError for several images, values
    that are not finite, and one of those formats in which everything is nearly black.
    """
    check_file(path)
    raw: Raw | None = None
    if path.suffix.lower() in TIFF_SUFFIXES:
        with suppress(tifffile.TiffFileError):
            raw = raw_tiff(path)
    if raw is None:
        with open_picture(path) as opened:
            lossy = opened.format in LOSSY
            raw = by_pillow(opened)._replace(lossy=lossy)
    pixels = raw.pixels
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError("holds values that are not finite")
    if len(pixels) in (2, 4):
        colours, alpha = pixels[:-1], pixels[-1]
        one_colour = (colours == colours[:, :1, :1]).all()
        pixels = alpha[None] if one_colour and alpha.min() < alpha.max() else colours
    values = pixels.max(axis=0)
    mask: npt.NDArray[np.bool_]
    if raw.lossy:
        top = int(values.max(initial=0))
        if 0 < top <= RINGING:
            raise ValueError(f"no brighter than {top}, in a format that alters black: save a PNG")
        mask = values > top / 2
    else:
        mask = values != 0
    return mask
