"""TIFF files of any depth as arrays ``[C, H, W]`` in their own type."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from anokit.data.limits import BYTES, VARIABLE, TooLargeError, most_pixels

TURNS = {
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}
"""TIFF's orientation tag: flip rows, flip columns, then swap rows and columns."""
MOST_PACKED = 100
"""Times its bytes that a file may hold beyond the limit on pixels; photographs come to 10."""
COLOURS = (
    tifffile.PHOTOMETRIC.SEPARATED,
    tifffile.PHOTOMETRIC.YCBCR,
    tifffile.PHOTOMETRIC.CIELAB,
    tifffile.PHOTOMETRIC.ICCLAB,
    tifffile.PHOTOMETRIC.ITULAB,
)
"""What the colours of a tif may be instead of RGB."""

SLIDES = frozenset({"avs", "bif", "indica", "ndpi", "philips", "qpi", "scn", "svs"})
"""Formats of slide scanners, whose first image is the slide; label and overview lie beside it."""
JPEGS = (tifffile.COMPRESSION.OJPEG, tifffile.COMPRESSION.JPEG)
"""Compressions of a tif whose decoder makes RGB of YCbCr."""
LOSSY = (*JPEGS, tifffile.COMPRESSION.WEBP)
"""Compressions of a tif by which black is not quite black."""
ASIDE = tifffile.FILETYPE.REDUCEDIMAGE | tifffile.FILETYPE.MASK
"""Marks of pages that are a small copy or a mask of the image."""

ASSOCIATED, UNASSOCIATED = tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA
"""Alpha by which colours are multiplied in the file, and alpha beside them."""


class Raw(NamedTuple):
    """A decoded file, in its own type."""

    pixels: npt.NDArray
    """``[C, H, W]``"""
    alpha: bool
    """whether the last channel is alpha"""
    lossy: bool = False
    """whether it was compressed so that black is not quite black"""


def read_tiff(path: Path) -> npt.NDArray:
    """Return a tif as ``[C, H, W]`` in its own type; channels first or last in the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import read_tiff
    >>> pixels = read_tiff(Path("photos/scan.tif"))
    >>> pixels.shape, pixels.dtype
    ((1, 4, 6), dtype('uint16'))
    """
    return raw_tiff(path).pixels


def raw_tiff(path: Path) -> Raw:
    """Return a tif as `read_tiff` does, and whether its last channel is alpha.

    Raises `tifffile.TiffFileError` for what is left to Pillow, and ValueError for several images or
    colours that cannot be read.
    """
    with tifffile.TiffFile(path) as file:
        series = the_image(file)
        axes = series.axes
        refuse_bomb(path, series)
        pixels = series.asarray()
        page = series.keyframe
        tag = page.tags.get("Orientation")
        extra = tuple(page.extrasamples)
        photometric = page.photometric
        jpeg = page.compression in JPEGS
        lossy = page.compression in LOSSY
    orientation = 1 if tag is None else int(tag.value)
    for axis in reversed(range(pixels.ndim)):
        if pixels.shape[axis] == 1 and axes[axis] not in "YX":
            pixels = pixels.squeeze(axis)
            axes = axes[:axis] + axes[axis + 1 :]
    channel_axes = [axis for axis, letter in enumerate(axes) if letter not in "YX"]
    if len(channel_axes) > 1 or (channel_axes and axes[channel_axes[0]] not in "SC"):
        raise ValueError(f"a stack of images (axes {axes}, {pixels.shape}); save them one by one")
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise tifffile.TiffFileError("a palette, which is left to Pillow")
    if photometric in COLOURS and not jpeg:
        if pixels.dtype == np.uint8:
            raise tifffile.TiffFileError("colours that are not RGB, which are left to Pillow")
        if photometric != tifffile.PHOTOMETRIC.SEPARATED:
            raise ValueError(
                f"{photometric!s} colours of {pixels.dtype}; expected 8 bits; save it as RGB"
            )
    pixels = pixels[None] if not channel_axes else np.moveaxis(pixels, channel_axes[0], 0)
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    if photometric == tifffile.PHOTOMETRIC.SEPARATED and pixels.dtype != np.uint8:
        pixels = ink_to_light(pixels)
    alpha = len(pixels) in (2, 4) and extra[:1] in ((ASSOCIATED,), (UNASSOCIATED,))
    if alpha and extra[0] == ASSOCIATED:
        pixels = without_alpha_in_colours(pixels)
    return Raw(turned(pixels, orientation), alpha, lossy)


def the_image(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the one image of a tif; small copies and masks of it, marked as such, do not count.

    Raises `tifffile.TiffFileError` where there is none, and ValueError where there are several.
    """
    found = file.series
    if not found:
        raise tifffile.TiffFileError("no image in the file")
    if found[0].kind in SLIDES:
        return found[0]
    whole = [series for series in found if not series.keyframe.subfiletype & ASIDE]
    if len(whole) > 1:
        shapes = ", ".join(str(series.shape) for series in whole[:3])
        more = ", …" if len(whole) > 3 else ""
        raise ValueError(f"{len(whole)} images that differ ({shapes}{more}); save them one by one")
    return (whole or found)[0]


def turned(pixels: npt.NDArray, orientation: int) -> npt.NDArray:
    """Return ``[C, H, W]`` turned and mirrored as an orientation tag says."""
    rows, columns, swap = TURNS.get(orientation, (False, False, False))
    pixels = np.flip(pixels, tuple(axis for axis, turn in ((1, rows), (2, columns)) if turn))
    return pixels.swapaxes(1, 2) if swap else pixels


def refuse_bomb(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Raise `TooLargeError` where a small file says that it holds a huge image, unread.

    A large one that fills its file is none: slides of a gigapixel are read.
    """
    size = path.stat().st_size
    if series.nbytes > max(BYTES * most_pixels(), MOST_PACKED * size):
        sides = "×".join(map(str, series.shape))
        raise TooLargeError(
            f"{sides} values in {size:,} bytes: cut off, or a decompression bomb; if it is "
            f"neither, {VARIABLE}={-(-series.nbytes // BYTES)} admits it"
        )


def ink_to_light(pixels: npt.NDArray) -> npt.NDArray:
    """Turn cyan, magenta, yellow and black ``[4, H, W]`` into RGB of the same type, as Pillow."""
    if len(pixels) < 4:
        raise ValueError(f"{len(pixels)} inks, expected four: save it as RGB")
    white = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    light = white - pixels[:4].astype(np.float64)
    colours = light[:3] * light[3] / white
    return (
        colours.astype(pixels.dtype)
        if pixels.dtype.kind == "f"
        else np.rint(colours).astype(pixels.dtype)
    )


def without_alpha_in_colours(pixels: npt.NDArray) -> npt.NDArray:
    """Divide colours ``[C - 1, H, W]`` by the alpha that they were multiplied by."""
    white = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    alpha = pixels[-1:].astype(np.float64)
    colours = np.divide(
        pixels[:-1] * white, alpha, out=np.zeros(pixels[:-1].shape), where=alpha > 0
    ).clip(0, white)
    if pixels.dtype.kind != "f":
        colours = np.rint(colours)
    return np.concatenate([colours.astype(pixels.dtype), pixels[-1:]])
