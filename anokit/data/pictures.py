"""From an image file to uint8 ``[C, H, W]``: any format, any depth, any number of channels.

One rule for each kind of picture, wherever a picture is read (training, masks, `scan`, `score`):

- grey stays one channel, colour three; palettes, CMYK, Lab, YCbCr and HSV become RGB;
- alpha is a further channel at every depth, beside colours that are not multiplied by it; one
  colour or entry of a palette that is called transparent is alpha too. It is dropped where one or
  three channels are asked for;
- colour profiles and gamma are not applied: values are as they are stored;
- turned as the orientation tag says;
- 8 bits as they are; other numbers are scaled so that black_level becomes 0 and white_level 255.
  Unset, black is 0, and white the largest of the type for up to 16 bits, 65535 for wider integers
  (few cameras give more than 16 bits, whatever they are stored in) and 1.0 for floats. What lies
  outside is clipped, and the picture says so.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from anokit.data.levels import UInt8, default_white, to_uint8
from anokit.data.limits import open_picture
from anokit.data.suffixes import TIFF_SUFFIXES
from anokit.data.tiffs import TURNS, Raw, raw_tiff, the_image, turned
from anokit.errors import UsageError

T = TypeVar("T")

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
WITH_ALPHA = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}
"""What modes become in which one colour or entry of the palette is transparent."""
REASON = 160
"""Most characters of why a file cannot be read."""
Least = Callable[[int, int], tuple[int, int]]
"""From height and width of a file to the least height and width that are of use."""


@dataclass(frozen=True)
class Picture:
    """A file that was decoded, perhaps at a half, a quarter or an eighth of its size.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import try_to_decode
    >>> picture, _ = try_to_decode(Path("photos/a.png"), white_level=None)
    >>> picture.pixels.shape, picture.size, picture.window
    ((3, 4, 6), (4, 6), (0, 0, 6, 4))
    """

    pixels: UInt8
    """``[C, h, w]``"""
    size: tuple[int, int]
    """height and width in the file, turned as its orientation tag says"""
    window: tuple[float, float, float, float]
    """left, top, right, bottom of the file's picture in ``pixels``; all of them, but for the part
    of a pixel by which a side may be no multiple of eight"""
    clipped: tuple[float, float] | None = None
    """smallest and largest value of the file where some of them lay outside of what becomes 0 to
    255; None where nothing was clipped"""
    values: tuple[float, float] | None = None
    """smallest and largest value of the file where it holds more than 8 bits"""


def decode(path: Path, white_level: float | None = None, black_level: float = 0.0) -> UInt8:
    """Return the image in ``path`` as uint8 ``[C, H, W]`` in its full size; see `decode_picture`.

    Raises
    ------
    ValueError
        As `decode_picture` does.
    """
    return decode_picture(path, white_level, black_level=black_level).pixels


def decode_picture(
    path: Path,
    white_level: float | None = None,
    least: Least | None = None,
    *,
    black_level: float = 0.0,
) -> Picture:
    """Return the image in ``path``, turned as its orientation tag says.

    A JPEG is decoded at a fraction of its size where what comes out is still as large as
    ``least`` says: the decoder then computes fewer values of each block, at a fraction of the cost.

    The rules are the module's. Of an animation, the first frame.

    Raises whatever the decoder raises on a damaged file, and ValueError for a stack of images, for
    one without a pixel or with more than are admitted (`anokit.data.limits`), and for what is no
    regular file: opening a pipe would wait for ever.
    """
    picture = _decoded(path, white_level, least, black_level)
    if not picture.pixels.size:
        raise ValueError(f"has no pixels: its size is {picture.size[0]}×{picture.size[1]}")
    return picture


def _decoded(
    path: Path, white_level: float | None, least: Least | None, black_level: float
) -> Picture:
    check_file(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        try:
            return scaled(raw_tiff(path), white_level, black_level)
        except tifffile.TiffFileError:
            pass  # Pillow reads some files that tifffile declines, and words the error better.
    with open_picture(path) as opened:
        drafted = draft(opened, least) if least and isinstance(opened, JpegImageFile) else None
        raw = by_pillow(opened)
    picture = scaled(raw, white_level, black_level)
    return picture if drafted is None else Picture(picture.pixels, *drafted)


def check_file(path: Path) -> None:
    """Raise ValueError for what is empty or no regular file; opening a pipe would wait for ever."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is no regular file but a folder, pipe, socket or device")
    if not status.st_size:
        raise ValueError("is an empty file")


def by_pillow(opened: ImageFile) -> Raw:
    """Return an opened image: turned about, in grey or RGB, perhaps with alpha."""
    if opened.format == "PNG" and opened.tile and str(opened.tile[0][3]).endswith(";16B"):
        return deep_png(opened)
    ImageOps.exif_transpose(opened, in_place=True)
    image: Image.Image = opened
    if "transparency" in image.info and image.mode in WITH_ALPHA:
        image = image.convert(WITH_ALPHA[image.mode])
    elif image.mode == "P":
        image = image.convert("RGB")
    elif image.mode in MODES:
        image = image.convert(MODES[image.mode])
    pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return Raw(pixels, len(pixels) in (2, 4))


def deep_png(opened: ImageFile) -> Raw:
    """Return a PNG of 16 bits, of whose colours Pillow would keep 8."""
    pixels: npt.NDArray = imagecodecs.png_decode(Path(os.fsdecode(opened.filename)).read_bytes())
    orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    pixels = turned(np.atleast_3d(pixels).transpose(2, 0, 1), orientation)
    return Raw(pixels, len(pixels) in (2, 4))


def scaled(raw: Raw, white_level: float | None, black_level: float) -> Picture:
    """Return a decoded file as a picture in full size.

    Alpha has the range of its type, whatever colours are measured in.
    """
    colours = raw.pixels[:-1] if raw.alpha else raw.pixels
    pixels = to_uint8(colours, white_level, black_level)
    if raw.alpha:
        pixels = np.concatenate([pixels, to_uint8(raw.pixels[-1:], None)])
    picture = whole(pixels)
    if colours.dtype in (np.uint8, np.bool_) or not colours.size:
        return picture
    low, high = float(colours.min()), float(colours.max())
    white = default_white(colours.dtype) if white_level is None else white_level
    inside = black_level <= low and high <= white
    return replace(picture, values=(low, high), clipped=None if inside else (low, high))


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

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import header_size
    >>> header_size(Path("photos/a.png"))
    (4, 6)
    """
    try:
        check_file(path)
        if path.suffix.lower() in TIFF_SUFFIXES:
            try:
                with tifffile.TiffFile(path) as file:
                    sizes = the_image(file).sizes
                    return sizes["height"], sizes["width"]
            except (tifffile.TiffFileError, LookupError):
                pass
        with open_picture(path) as image:
            return image.height, image.width
    except Exception:
        # Decoding will say what is wrong with it.
        return None


def try_to_decode(
    path: Path,
    white_level: float | None,
    least: Least | None = None,
    *,
    black_level: float = 0.0,
) -> tuple[Picture | None, str]:
    """Return the picture and "", or None and why it cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import try_to_decode
    >>> picture, reason = try_to_decode(Path("photos/a.png"), white_level=None)
    >>> picture.pixels.dtype, reason
    (dtype('uint8'), '')
    >>> try_to_decode(Path("photos/notes.txt"), white_level=None)
    (None, 'is no image, or in a format that is not known')
    """
    return tried(lambda: decode_picture(path, white_level, least, black_level=black_level), path)


def tried(read: Callable[[], T], path: Path) -> tuple[T | None, str]:
    """Return what ``read`` gives and "", or None and why ``path`` cannot be read."""
    try:
        return read(), ""
    except UsageError:
        raise  # of the limit, which is no file's fault
    except Exception as error:
        # Decoders raise all sorts on damaged files, and one file must not cost the others.
        if isinstance(error, UnidentifiedImageError):
            return None, "is no image, or in a format that is not known"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = reason.replace(repr(str(path)), "file").replace(str(path), "file")
        return None, (reason.splitlines() or [type(error).__name__])[0][:REASON]
