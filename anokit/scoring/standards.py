"""How terms of different scale are made to count alike: by their values of training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from anokit.recipe.parts import NamedScore

Array = TypeVar("Array", bound=npt.NDArray[np.floating])


@dataclass(frozen=True)
class Standard:
    """What the terms of a score are brought to one scale by, and its sums to one value."""

    scales: list[tuple[float, float]]
    """of each term: what is taken off its values, and what they are divided by"""
    shares: list[float] = field(default_factory=list)
    """of each sum after the first: how much counts of what it is above the first; empty: all"""

    def together(self, sums: Mapping[int, Array]) -> Array:
        """Return the first of ``sums``, and of what others are above it as much as counts.

        Where all counts, that is the largest of them. They stand by their places in the score, some
        of which may be missing, but not all; they have one shape.
        """
        places = sorted(sums)
        found = first = sums[places[0]]
        for place in places[1:]:
            share = self.shares[place - 1] if self.shares else 1.0
            found = np.maximum(found, (1 - share) * first + share * sums[place])
        return found


def standard_of_sum(score: NamedScore) -> Standard:
    """Return the standard of a sum of terms as they are."""
    return Standard([(0.0, 1.0)] * len(score.terms))


def standards_of(
    scores: Sequence[NamedScore], values: Mapping[str, npt.NDArray[np.float64]], images: int
) -> dict[str, Standard]:
    """Return the standard of each score of standardised terms, by its name.

    The spread is divided by the share of its weight that a term has, so that what is stored says
    all that a sum is made by. The share of a term that begins another sum is that sum's.

    Parameters
    ----------
    values
        Of training images, by the key of the term.
    images
        How many training images the terms learnt from.
    """
    found: dict[str, Standard] = {}
    for score in scores:
        if score.combine == "robust-z":
            beginning = [score.terms[terms.start] for terms in score.sums[1:]]
            scales = []
            for term in score.terms:
                centre, spread = robust_scale(values[term.key])
                own = 1.0 if term.keys.alternative else term.share_of_weight(images)
                scales.append((centre, spread / own))
            found[score.name] = Standard(
                scales, [term.share_of_weight(images) for term in beginning]
            )
    return found


def robust_scale(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the median, and 1.4826 times the median absolute deviation, of ``values`` ``[N]``.

    Where that is 0 the standard deviation stands for it, and where that is 0 too, 1.
    """
    centre = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    return centre, spread or float(values.std()) or 1.0
