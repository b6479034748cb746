"""Maps as they lie on photographs: where in the file a map lies, and tiles joined into one map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "Heat", "HeatScale", "stitch"]

Box = tuple[float, float, float, float]
"""left, top, right, bottom"""
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class HeatScale(Protocol):
    """What the colours of a map mean; one for all images, and made without looking at them."""

    @property
    def low(self) -> float:
        """Value from which on there is any colour."""
        ...

    @property
    def high(self) -> float:
        """Value from which on the colour is the strongest."""
        ...

    @property
    def threshold(self) -> float:
        """Value that the contour is drawn at."""
        ...


@dataclass(frozen=True)
class Heat:
    """A map, and which part of a photograph it lies on. By default it lies on all of it."""

    values: Floats
    """``[H, W]``: the centre of a value is the centre of its share of the box"""
    box: Box = (0.0, 0.0, 1.0, 1.0)
    """in units of ``size``; what reaches beyond the photograph is not shown"""
    size: tuple[float, float] = (1.0, 1.0)
    """width and height of the photograph, upright as its orientation tag says"""


def stitch(
    maps: npt.NDArray[np.floating],
    boxes: Sequence[Box],
    size: tuple[float, float],
    shape: tuple[int, int] | None = None,
) -> Heat:
    """Join the maps of a photograph's tiles into one.

    Where tiles overlap, each fades linearly into the next, from the first centre of a value of the
    one to the last of the other; where they only touch, between these centres all the same. So
    weights sum to one, there is no seam, and values between centres are bilinear.

    Parameters
    ----------
    maps
        ``[T, h, w]``: one for each tile
    boxes
        T of them, a grid, in any order: `anokit.types.Pieces.boxes`
    size
        width and height of the photograph in the units of ``boxes``: `anokit.types.Pieces.size`
    shape
        rows and columns of the result; None stands for the resolution of the tiles' maps. A single
        map stays as it is then.

    Returns
    -------
    Heat
        On the part of the photograph that the tiles cover.

    Raises
    ------
    ValueError
        Where the shapes do not fit, or the boxes are no grid without holes.
    """
    if maps.ndim != 3 or len(maps) != len(boxes) or not maps.size:
        raise ValueError(
            f"stitch: expected maps [T, h, w] with one box each, got {list(maps.shape)} and "
            f"{len(boxes)} boxes"
        )
    if len(maps) == 1 and shape is None:
        return Heat(maps[0].astype(np.float32), boxes[0], size)
    rows, columns, table = _grid(boxes)
    height, width = maps.shape[1:]
    down = _Axis(rows, height, size[1], shape and shape[0])
    across = _Axis(columns, width, size[0], shape and shape[1])
    joined = np.zeros((down.count, across.count))
    for row in range(len(rows)):
        for column in range(len(columns)):
            y, along_y = down.of(row)
            x, along_x = across.of(column)
            joined[y, x] += along_y @ maps[table[row, column]].astype(np.float64) @ along_x.T
    box = (across.start, down.start, across.end, down.end)
    return Heat(joined.astype(np.float32), box, size)


def _grid(boxes: Sequence[Box]) -> tuple[Doubles, Doubles, npt.NDArray[np.int64]]:
    """Return a grid's rows ``[R, 2]`` and columns ``[C, 2]``, and the box at each place."""
    placed: Doubles = np.asarray(boxes, np.float64).round(6)
    columns, column = np.unique(placed[:, [0, 2]], axis=0, return_inverse=True)
    rows, row = np.unique(placed[:, [1, 3]], axis=0, return_inverse=True)
    table = np.full((len(rows), len(columns)), -1, np.int64)
    table[row.reshape(-1), column.reshape(-1)] = np.arange(len(placed))
    if (table < 0).any() or table.size != len(placed):
        raise ValueError(
            f"stitch: expected the boxes of a full grid, each once; got {len(placed)} boxes in "
            f"{len(rows)} rows and {len(columns)} columns"
        )
    return rows.astype(np.float64), columns.astype(np.float64), table


class _Axis:
    """One direction of a grid: which values of which tile make up each value of the result."""

    def __init__(
        self, spans: Doubles, values: int, length: float, count: int | None = None
    ) -> None:
        starts, ends = spans[:, 0], spans[:, 1]
        steps = (ends - starts) / values
        if (steps <= 0).any() or (np.diff(ends) <= 0).any():
            raise ValueError(f"stitch: a box is empty or lies within another: {spans.tolist()}")
        if (starts[1:] > ends[:-1] + 1e-6 * length).any():
            raise ValueError(f"stitch: there are gaps between the boxes {spans.tolist()}")
        self.start, self.end = max(0.0, float(starts[0])), min(length, float(ends[-1]))
        if self.start >= self.end:
            raise ValueError(f"stitch: the boxes lie beyond a photograph of {length:g}")
        extent = self.end - self.start
        self.count = count or max(1, round(extent / float(steps.min())))
        at = self.start + (np.arange(self.count) + 0.5) * extent / self.count
        self._weights = _weights(at, starts + steps / 2, ends - steps / 2, steps)
        self._places = np.clip((at - starts[:, None]) / steps[:, None] - 0.5, 0, values - 1)
        self._values = values

    def of(self, tile: int) -> tuple[slice, Doubles]:
        """Return which part of the result a tile adds to, and its share ``[part, values]``."""
        used = np.flatnonzero(self._weights[tile])
        part = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        weight, place = self._weights[tile, part], self._places[tile, part]
        before = np.minimum(place.astype(np.int64), max(self._values - 2, 0))
        share = np.zeros((len(place), self._values))
        lines = np.arange(len(place))
        share[lines, before] = weight * (1 - (place - before))
        if self._values > 1:
            share[lines, before + 1] = weight * (place - before)
        return part, share


def _weights(at: Doubles, firsts: Doubles, lasts: Doubles, steps: Doubles) -> Doubles:
    """Return the weights ``[tiles, positions]`` of tiles whose first and last centres are given."""
    rising = np.ones((len(firsts), len(at)))
    for tile in range(1, len(firsts)):
        first, last = firsts[tile], lasts[tile - 1]
        # At least one value wide: tiles that disagree must not make a step.
        width = max(abs(last - first), steps[tile])
        rising[tile] = np.clip((at - (first + last - width) / 2) / width, 0, 1)
    falling = np.vstack([1 - rising[1:], np.ones((1, len(at)))])
    weights = np.minimum(rising, falling)
    return weights / weights.sum(axis=0)
