"""From numbers of any type to 8 bits, and from channels that are there to those asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.errors import DataError

UInt8 = npt.NDArray[np.uint8]

LUMA = np.array([299, 587, 114])
"""ITU-R BT.601 weights of red, green and blue in a grey value, in thousandths.

Examples
--------
>>> from anokit.data import LUMA
>>> int(LUMA.sum())
1000
"""


def default_white(dtype: np.dtype) -> float:
    """Return the value that becomes 255 where no option says."""
    if dtype.kind == "f":
        return 1.0
    return min(float(np.iinfo(dtype).max), 65535.0)


def to_uint8(pixels: npt.NDArray, white_level: float | None, black_level: float = 0.0) -> UInt8:
    """Scale ``[C, H, W]`` of any type to uint8, ``white_level`` to 255, and clip."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"numbers of type {pixels.dtype}; expected integers or floats")
    if white_level is None:
        white_level = default_white(pixels.dtype)
    if white_level <= black_level:
        raise ValueError(f"white at {white_level:g} and black at {black_level:g}; set white_level")
    if pixels.dtype == np.uint16:
        # By a table, since floats of a large photograph would take eight times its memory.
        return to_uint8(np.arange(2**16, dtype=np.float64), white_level, black_level)[pixels]
    scaled = (pixels.astype(np.float64) - black_level) * (255 / (white_level - black_level))
    if not np.isfinite(scaled).all():
        raise ValueError("holds values that are not finite")
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def with_channels(image: UInt8, channels: int, path: Path) -> UInt8:
    """Return ``image`` ``[c, H, W]`` with ``channels`` channels.

    1 makes grey of RGB (BT.601 luma) and drops alpha; 3 repeats grey and drops alpha. Anything else
    must be so in the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from anokit.data import with_channels
    >>> colour = np.full((3, 4, 6), 100, np.uint8)
    >>> with_channels(colour, 1, Path("photos/a.png")).shape
    (1, 4, 6)
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
