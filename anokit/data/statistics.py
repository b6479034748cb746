"""Statistics of stored images, and copies of images in which one statistic is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.sets import ImageTable, Rows, Wholes, all_rows
from anokit.nn import image_brightness, image_contrast, image_gradient

Floats = npt.NDArray[np.float64]

Statistic = Callable[[Tensor], Tensor]

STATISTICS: Mapping[str, Statistic] = {
    "contrast": image_contrast,
    "gradient": image_gradient,
    "brightness": image_brightness,
}
"""What is known of an image without a network, by name; in grey levels of 0 to 255."""

EQUALISED = ("contrast", "gradient")
"""Statistics that an image can be given by scaling it about its mean."""

VALUES = 4_000_000
"""Values of images that are held at once, as float64, a few times over."""

ROUNDS = 15
"""Most times that a factor is mended for what clipping and rounding took off."""

CLOSE = 0.001
"""Share of the target by which a copy may miss it once mending makes it no better."""

STEEPEST = 8.0
"""Largest power of what is missing by which a factor is mended, where clipping takes most off."""

LARGEST_FACTOR = 64.0
"""An image is never scaled by more, nor by less than its inverse; nearly flat ones would be."""


def describe(images: ImageTable, rows: Rows) -> dict[str, Floats]:
    """Return all `STATISTICS` of the images at ``rows``: ``[len(rows)]`` each, in grey levels."""
    parts: dict[str, list[Floats]] = {name: [] for name in STATISTICS}
    for _, batch in _batches(images, rows):
        for name, compute in STATISTICS.items():
            parts[name].append(compute(batch).numpy())
    return {name: np.concatenate([np.zeros(0), *found]) for name, found in parts.items()}


def describe_wholes(
    images: ImageTable, wholes: Wholes, chosen: Rows | None = None
) -> dict[str, Floats]:
    """Return all `STATISTICS` of images as the user knows them, in grey levels.

    That of an image which was cut into tiles is the mean of its tiles'.

    Parameters
    ----------
    chosen
        Places ``[K]`` of the wholes that are meant, in any order; all of them by default.

    Returns
    -------
    dict
        ``[K]`` by name.
    """
    chosen = all_rows(len(wholes)) if chosen is None else chosen
    rows = np.flatnonzero(np.isin(wholes.of_tile, chosen))
    of = wholes.of_tile[rows]
    several = np.maximum(np.bincount(of, minlength=len(wholes)), 1)
    found = describe(images, rows)
    sums = {name: np.bincount(of, values, len(wholes)) for name, values in found.items()}
    return {name: (total / several)[chosen] for name, total in sums.items()}


@dataclass(frozen=True)
class Copies:
    """Images of which one statistic was made equal, and how well that went."""

    images: ImageTable
    """N copies in the order of the images, uint8; made when they are read"""
    clipped: Floats
    """``[N]``: share of each copy's values that lay outside 0 to 255 and were clipped"""
    reached: Floats
    """``[N]``: the statistic of each copy, in grey levels"""


class _Scaled(ImageTable):
    """Images scaled about their means by a factor each."""

    def __init__(self, images: ImageTable, factors: Floats) -> None:
        super().__init__(images.parts)
        self.factors = factors

    def read(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Return the copies at ``indices``: uint8 ``[B, C, H, W]`` on the CPU."""
        return _stored(_scaled(super().read(indices), self.factors[indices]))


def equalise(images: ImageTable, statistic: str, target: float) -> Copies:
    """Return copies of images whose contrast or gradient is ``target`` grey levels.

    An image x becomes mean + k·(x − mean), one factor k for all its pixels and channels, so that
    what it shows and its brightness stay. Values are then clipped to 0 to 255 and rounded, which
    takes contrast off; k is raised for that until the statistic of the stored copy is the target,
    or cannot be reached: a flat image stays flat, and one that is clipped to two values has no more
    contrast to gain. `Copies.reached` says what came of it. A copy depends on its image alone.

    Parameters
    ----------
    statistic
        One of `EQUALISED`.
    target
        In grey levels, above 0.
    """
    factors, clipped, reached = (np.empty(len(images)) for _ in range(3))
    for rows, batch in _batches(images, all_rows(len(images))):
        factors[rows], reached[rows] = _factors(batch, STATISTICS[statistic], target)
        whole = _scaled(batch, factors[rows])
        outside = (whole < 0) | (whole > 255)
        clipped[rows] = outside.double().mean(dim=(1, 2, 3)).numpy()
    return Copies(_Scaled(images, factors), clipped, reached)


def _batches(images: ImageTable, rows: Rows) -> Iterator[tuple[Rows, Tensor]]:
    """Yield the images at ``rows``, some at a time, with their places."""
    values = int(np.prod(images.parts[0].shape[1:])) if len(rows) else 1
    count = max(1, VALUES // values)
    for start in range(0, len(rows), count):
        own = rows[start : start + count]
        yield own, images.read(own)


def _factors(images: Tensor, measure: Statistic, target: float) -> tuple[Floats, Floats]:
    """Return by which factor ``[B]`` to scale each image, and its statistic then."""
    factor, best, power = (np.ones(len(images)) for _ in range(3))
    found: Floats = measure(images).numpy()
    nearest = found.copy()
    left = np.flatnonzero(found > 0)
    for _ in range(ROUNDS):
        if not len(left):
            break
        # The secant of log statistic over log factor, whose slope is 1 without clipping.
        old, was = factor[left], found[left]
        new = (old * (target / was) ** power[left]).clip(1 / LARGEST_FACTOR, LARGEST_FACTOR)
        copies = _stored(_scaled(images[torch.from_numpy(left)], new))
        factor[left], found[left] = new, measure(copies).numpy()
        better = left[np.abs(found[left] - target) < np.abs(nearest[left] - target)]
        best[better], nearest[better] = factor[better], found[better]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.log(new / old) / np.log(found[left] / was)
        power[left] = np.where(np.isfinite(slope), slope, 1.0).clip(1, STEEPEST)
        # As near as it comes, not just near: what is left is then rounding, whichever side it came
        # from, while an earlier stop would leave all copies in the order of their images.
        far = np.abs(nearest[left] - target) > CLOSE * target
        left = left[(far | np.isin(left, better)) & (found[left] > 0)]
    return best, nearest


def _scaled(images: Tensor, factors: Floats) -> Tensor:
    """Return images scaled about their means, not yet in range: float64 ``[B, C, H, W]``."""
    mean = image_brightness(images)[:, None, None, None]
    return mean + torch.from_numpy(factors)[:, None, None, None] * (images.double() - mean)


def _stored(images: Tensor) -> Tensor:
    return images.clamp(0, 255).round().to(torch.uint8)
