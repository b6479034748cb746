"""Where the tiles of a large photograph lie."""

from __future__ import annotations

from collections.abc import Iterator


def tile_boxes(
    height: int, width: int, size: int, overlap: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, top, right, bottom of square tiles that cover ``height`` × ``width``, by rows.

    Neighbours share ``overlap`` pixels; the last of a row and of a column is moved inward until it
    ends with the image, and shares more. Both sides must be ``size`` at least.
    """
    for top in starts(height, size, overlap):
        for left in starts(width, size, overlap):
            yield left, top, left + size, top + size


def starts(length: int, size: int, overlap: int) -> list[int]:
    """Return where tiles begin along a side of ``length`` pixels, ``size`` at least."""
    return [*range(0, length - size, size - overlap), length - size]


def tile_count(height: int, width: int, size: int, overlap: int) -> int:
    """Return how many tiles `tile_boxes` yields."""
    return len(starts(height, size, overlap)) * len(starts(width, size, overlap))
