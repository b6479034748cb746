"""When two results count as equal: what may differ is rounding, and a small share of the spread."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["close", "scores_differ"]

RTOL = 1e-4
"""How far the score of an image may move with its batch, relative to the spread of the scores."""

ROUNDING = 8 * torch.finfo(torch.float32).eps
"""How far it may move relative to the largest score: a few units in the last place of float32.

A score with a large offset has no more digits than these.
"""

SAME_BATCH = 2 * torch.finfo(torch.float32).eps
"""The same in batches of one size, and at one place. Sums are then added in one order, so that
rounding does not follow what the other images are; what does is a leak."""


def close(first: Tensor, second: Tensor, rounding: float = ROUNDING) -> bool:
    """Return whether two results are equal but for rounding, NaN being like NaN.

    They may differ by `RTOL` of the spread of the first, largest less smallest finite value, and
    by ``rounding`` of its largest value. Not by more of that: behind an offset of 100, a thousandth
    of the largest value is all that a score says.
    """
    one, other = first.double(), second.double()
    known = one[torch.isfinite(one)]
    if not known.numel():
        known = torch.zeros(1, dtype=torch.float64)
    room = RTOL * (known.max() - known.min()) + rounding * known.abs().max()
    near = (one - other).abs() <= room
    return bool((near | (one == other) | (one.isnan() & other.isnan())).all())


def scores_differ(first: Tensor, second: Tensor) -> str:
    """Return the largest difference of two results in words, with the values that it is between."""
    away = (first.double() - second.double()).abs().nan_to_num(nan=torch.inf).flatten()
    place = int(away.argmax())
    one, other = float(first.flatten()[place]), float(second.flatten()[place])
    return f"{one:.9g} or {other:.9g} for one image"
