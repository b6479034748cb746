"""From an image file to uint8 ``[C, H, W]``: any format, any depth, any number of channels."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from anokit.errors import DataError

UInt8 = npt.NDArray[np.uint8]

SAME_MODES = ("L", "LA", "RGB", "RGBA")
MODES = {
    "1": "L",
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
"""What Pillow's further 8-bit modes are converted to."""
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
LUMA = np.array([299, 587, 114])
"""ITU-R BT.601 weights of red, green and blue in a grey value, in thousandths."""


Least = Callable[[int, int], tuple[int, int]]
"""From height and width of a file to the least height and width that are of use."""


@dataclass(frozen=True)
class Picture:
    """A file that was decoded, perhaps at a half, a quarter or an eighth of its size."""

    pixels: UInt8
    """``[C, h, w]``"""
    size: tuple[int, int]
    """height and width in the file, turned as its orientation tag says"""
    window: tuple[float, float, float, float]
    """left, top, right, bottom of the file's picture in ``pixels``; all of them, but for the part
    of a pixel by which a side may be no multiple of eight"""


def decode(path: Path, white_level: float | None = None) -> UInt8:
    """Return the image in ``path`` as uint8 ``[C, H, W]`` in its full size; see `decode_picture`.

    Raises
    ------
    ValueError
        As `decode_picture` does.
    """
    return decode_picture(path, white_level).pixels


def decode_picture(
    path: Path, white_level: float | None = None, least: Least | None = None
) -> Picture:
    """Return the image in ``path``, turned as its orientation tag says.

    A JPEG is decoded at a fraction of its size where what comes out is still as large as
    ``least`` says: the decoder then computes fewer values of each block, at a fraction of the cost.

    Grey stays one channel; palettes, CMYK and the like become RGB (RGBA with transparency). More
    than 8 bits are scaled so that ``white_level`` becomes 255; None stands for the largest value
    of the type (65535; 1.0 for floats). Of an animation, the first frame.

    Raises whatever the decoder raises on a damaged file, and ValueError for a stack of images.
    """
    if path.suffix.lower() in (".tif", ".tiff"):
        try:
            return whole(to_uint8(read_tiff(path), white_level))
        except tifffile.TiffFileError:
            pass  # Pillow reads some files that tifffile declines, and words the error better.
    with Image.open(path) as opened:
        drafted = draft(opened, least) if least and isinstance(opened, JpegImageFile) else None
        ImageOps.exif_transpose(opened, in_place=True)
        image: Image.Image = opened
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        elif image.mode in MODES:
            image = image.convert(MODES[image.mode])
        pixels = np.asarray(image)
        if image.mode == "I" and white_level is None:
            white_level = 65535  # Pillow's 32-bit mode, which it also uses for 16-bit files.
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    picture = whole(to_uint8(pixels, white_level))
    return picture if drafted is None else Picture(picture.pixels, *drafted)


def whole(pixels: UInt8) -> Picture:
    """Return pixels ``[C, H, W]`` as a picture in full size."""
    height, width = pixels.shape[1:]
    return Picture(pixels, (height, width), (0, 0, width, height))


def draft(
    image: JpegImageFile, least: Least
) -> tuple[tuple[int, int], tuple[float, float, float, float]] | None:
    """Have a JPEG decoded at a fraction; return size and window of its `Picture`, if so."""
    columns, rows = image.size
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    flip_rows, flip_columns, swap = TURNS.get(orientation, (False, False, False))
    size = (columns, rows) if swap else (rows, columns)
    height, width = least(*size)
    drafted = image.draft(None, (height, width) if swap else (width, height))
    if drafted is None or image.size == (columns, rows):
        return None
    _, (_, _, right, bottom) = drafted
    # The decoder fills the last pixel up; turned about, it comes first.
    left = image.width - right if flip_columns else 0
    top = image.height - bottom if flip_rows else 0
    window = (left, top, left + right, top + bottom)
    return size, (window[1], window[0], window[3], window[2]) if swap else window


def header_size(path: Path) -> tuple[int, int] | None:
    """Return the sides of the image in ``path`` from its header; None where that cannot be read.

    They are (height, width) as they are stored, before any turn.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            try:
                with tifffile.TiffFile(path) as file:
                    sizes = file.series[0].sizes
                    return sizes["height"], sizes["width"]
            except (tifffile.TiffFileError, LookupError):
                pass
        with Image.open(path) as image:
            return image.height, image.width
    except Exception:
        # Decoding will say what is wrong with it.
        return None


def read_tiff(path: Path) -> npt.NDArray:
    """Return a tif as ``[C, H, W]`` in its own type; channels first or last in the file."""
    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise tifffile.TiffFileError("no image in the file")
        series = file.series[0]
        axes = series.axes
        pixels = series.asarray()
        page = file.pages.first
        tag = page.tags.get("Orientation")
        photometric = page.photometric
    orientation = 1 if tag is None else int(tag.value)
    for axis in reversed(range(pixels.ndim)):
        if pixels.shape[axis] == 1 and axes[axis] not in "YX":
            pixels = pixels.squeeze(axis)
            axes = axes[:axis] + axes[axis + 1 :]
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise tifffile.TiffFileError("a palette, which is left to Pillow")
    channel_axes = [axis for axis, letter in enumerate(axes) if letter not in "YX"]
    if len(channel_axes) > 1 or (channel_axes and axes[channel_axes[0]] not in "SC"):
        raise ValueError(f"a stack of images (axes {axes}, {pixels.shape}); save them one by one")
    pixels = pixels[None] if not channel_axes else np.moveaxis(pixels, channel_axes[0], 0)
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    if orientation in TURNS:
        rows, columns, swap = TURNS[orientation]
        pixels = np.flip(pixels, tuple(axis for axis, turn in ((1, rows), (2, columns)) if turn))
        pixels = pixels.swapaxes(1, 2) if swap else pixels
    return pixels


def to_uint8(pixels: npt.NDArray, white_level: float | None) -> UInt8:
    """Scale ``[C, H, W]`` of any type to uint8, ``white_level`` to 255, and clip."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if white_level is None:
        white_level = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    if pixels.dtype == np.uint16:
        # By a table, since floats of a large photograph would take eight times its memory.
        return to_uint8(np.arange(2**16, dtype=np.float64), white_level)[pixels]
    scaled = pixels.astype(np.float64) * (255 / white_level)
    if not np.isfinite(scaled).all():
        raise ValueError("holds values that are not finite")
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def with_channels(image: UInt8, channels: int, path: Path) -> UInt8:
    """Return ``image`` ``[c, H, W]`` with ``channels`` channels.

    1 makes grey of RGB (BT.601 luma) and drops alpha; 3 repeats grey and drops alpha. Anything else
    must be so in the file.
    """
    count = image.shape[0]
    if count == channels:
        return image
    colour = image[: count - 1] if count in (2, 4) else image
    if channels == 1 and count in (2, 3, 4):
        if len(colour) == 1:
            return colour
        return (
            ((LUMA @ colour.reshape(3, -1) + 500) // 1000)
            .astype(np.uint8)
            .reshape(1, *image.shape[1:])
        )
    if channels == 3 and count in (1, 2, 4):
        return colour if len(colour) == 3 else np.repeat(colour, 3, axis=0)
    raise DataError(
        f"{path} has {count} channels and cannot be given {channels}; set channels = {count} "
        'or "auto", or remove the file'
    )


def try_to_decode(
    path: Path, white_level: float | None, least: Least | None = None
) -> tuple[Picture | None, str]:
    """Return the picture and "", or None and why it cannot be read."""
    try:
        return decode_picture(path, white_level, least), ""
    except Exception as error:
        # Decoders raise all sorts on damaged files, and one file must not cost the others.
        reason = str(error).replace(repr(str(path)), "file").replace(str(path), "file")
        return None, (reason.splitlines() or [type(error).__name__])[0][:100]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the decoders' own warnings and log lines back: unreadable files are told as notices.

    Entered once round a whole set of threads, since Python's warning filters belong to the process.
    """
    log = logging.getLogger("tifffile")
    before = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before
