"""The 72 transformations as maps of pixels: flip, then shift, then turn by quarters.

Golan, El-Yaniv, "Deep anomaly detection using geometric transformations" (2018), section 4.1.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ALL", "Transformation", "apply", "choose", "pixel_maps"]


class Transformation(NamedTuple):
    """One of the 72; shifts count in units of the shift's length."""

    flip: bool
    """whether left and right change places"""
    down: int
    """−1, 0 or 1: row i is what was row i + ``down``"""
    right: int
    """−1, 0 or 1: column j is what was column j + ``right``"""
    turns: int
    """quarters of a turn, counterclockwise"""


ALL = tuple(
    Transformation(flip, down, right, turns)
    for flip, down, right, turns in product((False, True), (0, -1, 1), (0, -1, 1), range(4))
)
"""All in the published order: flips slowest, turns fastest; the first one changes nothing."""


def choose(share: float) -> tuple[Transformation, ...]:
    """Return a share of the 72 in the published order, the identity among them, at least two.

    A smaller share is part of a larger one. Preferred are, in this order: no shift, shifts along
    one axis, along both; within a shift all turns without the flip, then all with it.
    """
    preferred = sorted(ALL, key=lambda one: (one.down**2 + one.right**2, one[1:3], one.flip))
    kept = set(preferred[: max(2, round(share * len(ALL)))])
    return tuple(one for one in ALL if one in kept)


def pixel_maps(transformations: tuple[Transformation, ...], side: int, shift: int) -> Tensor:
    """Return where each pixel comes from: int64 ``[T, side²]``, places in the flattened image.

    What a shift by ``shift`` pixels uncovers is filled by the image mirrored at its edge, the edge
    itself included (``c b a | a b c``): numpy's ``symmetric``.
    """
    return torch.stack([_pixel_map(one, side, shift) for one in transformations])


def _pixel_map(one: Transformation, side: int, shift: int) -> Tensor:
    places = torch.arange(side * side).view(side, side)
    if one.flip:
        places = places.flip(1)
    places = places[_mirrored(side, one.down * shift)][:, _mirrored(side, one.right * shift)]
    return places.rot90(one.turns).flatten()


def _mirrored(side: int, offset: int) -> Tensor:
    """Return which line of the image lies at each place after a shift: ``[side]``."""
    source = (torch.arange(side) + offset) % (2 * side)
    return torch.where(source < side, source, 2 * side - 1 - source)


def apply(images: Tensor, maps: Tensor) -> Tensor:
    """Transform each image by its own map: ``[B, C, s, s], [B, s²] -> [B, C, s, s]``.

    The result lies in memory with its channels last, as convolutions like it.
    """
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    found = pixels.gather(1, maps[:, :, None].expand_as(pixels))
    return found.view(-1, *images.shape[2:], images.shape[1]).permute(0, 3, 1, 2)
