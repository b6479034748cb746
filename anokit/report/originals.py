"""Image files as people look at them: upright, in colours of 8 bits, of a bounded size."""

from os import fspath
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from anokit.data.limits import TooLargeError, open_picture
from anokit.data.names import octets_of, shown
from anokit.data.pictures import try_to_decode
from anokit.data.quiet import quiet
from anokit.errors import DataError
from anokit.store.files import make_folder, replacing

__all__ = [
    "DEFAULT_LEVELS",
    "LONGEST",
    "Levels",
    "draw_pixels",
    "levels_of",
    "read_original",
    "said",
    "save_picture",
    "why",
]

LONGEST = 1600
"""Most pixels along the longer side."""

SMALL = 512
"""Originals are enlarged by the whole factor that brings them closest below this."""

DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than 8 bits."""


Levels = tuple[float, float | None]
"""Values that become black and white in originals of more than 8 bits."""

DEFAULT_LEVELS: Levels = (0.0, None)


def levels_of(options: object) -> Levels:
    """Return the levels that a dataset's options set, as its reader has them."""
    return getattr(options, "black_level", 0.0), getattr(options, "white_level", None)


def read_original(
    path: Path, longest: int = LONGEST, levels: Levels = DEFAULT_LEVELS
) -> Image.Image:
    """Read an image file to be shown: RGB, upright as its orientation tag says, at its own aspect.

    Large ones are shrunk to ``longest`` pixels along the longer side; the pixels of small ones
    become squares. Transparency is laid on white. Of more than 8 bits, the first of ``levels``
    becomes black and the second white; None stands for the largest value of the fewest bits that
    hold the image (1.0 for floats up to 1), so that 12 bits in a file of 16 are not shown black.

    Raises
    ------
    DataError
        Where the file is gone or cannot be read as an image.
    """
    try:
        # By its handle: of a path, Pillow 13 maps the bytes of plain tifs that lie on their side
        # with width and height exchanged.
        # Photographs of 100 megapixels are common, so no warning; what is too large is refused.
        with quiet(), path.open("rb") as file, open_picture(file) as opened:
            # A JPEG is decoded at half, a quarter or an eighth of its size where that suffices.
            opened.draft("RGB", (longest, longest))
            picture = _coloured(ImageOps.exif_transpose(opened), levels)
    except FileNotFoundError:
        raise DataError(f"{path}: the file is no longer there") from None
    except TooLargeError as error:
        raise DataError(f"{path}: cannot be read as an image: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:
        # Tifs of 16-bit colours or many channels, say, are read as networks have them.
        with quiet():
            found, _ = try_to_decode(path, levels[1], black_level=levels[0])
        if found is None:
            raise DataError(f"{path}: cannot be read as an image: {error}") from None
        return draw_pixels(found.pixels, longest)
    return _resized(picture, longest)


def draw_pixels(pixels: npt.NDArray[np.uint8], longest: int = SMALL) -> Image.Image:
    """Draw an image ``[C, H, W]`` of a dataset: grey, RGB, or the mean of its channels.

    It is enlarged as small originals are.
    """
    channels = pixels.transpose(1, 2, 0)
    if channels.shape[2] != 3:
        channels = np.rint(channels.mean(axis=2)).astype(np.uint8)
    return _resized(Image.fromarray(np.ascontiguousarray(channels)).convert("RGB"), longest)


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG or JPEG, as the suffix says, as `replacing` does."""
    make_folder(path.parent)
    with replacing(path) as file:
        if path.suffix == ".png":
            picture.save(file, format="PNG", compress_level=1)
        else:
            picture.save(file, format="JPEG", quality=90)


def said(path: Path) -> str:
    """Return a path as one line of text; bytes that are no UTF-8 are replaced, the rest escaped."""
    return shown(octets_of(fspath(path)).decode("utf-8", "replace"))


def why(error: DataError, path: Path | None) -> str:
    """Return what an error says of a file, without its path."""
    return str(error).removeprefix(f"{path}: ").encode("utf-8", "replace").decode()


def _coloured(image: Image.Image, levels: Levels) -> Image.Image:
    if image.mode in DEEP:
        return Image.fromarray(_to_uint8(np.asarray(image), levels)).convert("RGB")
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def _to_uint8(pixels: npt.NDArray, levels: Levels) -> npt.NDArray[np.uint8]:
    black, white = levels
    values = np.nan_to_num(pixels.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if white is None:
        top = float(values.max(initial=0.0))
        fits = pixels.dtype.kind == "f" and top <= 1
        white = 1.0 if fits else 2.0 ** max(8, int(np.ceil(np.log2(top + 1)))) - 1
    if white <= black:  # a white that was guessed may lie below the black that was set
        white = black + 1.0
    return np.rint((values - black) * (255 / (white - black))).clip(0, 255).astype(np.uint8)


def _resized(picture: Image.Image, longest: int) -> Image.Image:
    side = max(picture.size)
    factor = min(SMALL, longest) // side
    if factor > 1:
        return ImageOps.scale(picture, factor, Image.Resampling.NEAREST)
    if side > longest:
        size = [max(1, round(length * longest / side)) for length in picture.size]
        return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return picture
