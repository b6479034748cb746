"""How terms of different scale are made to count alike: by their values of training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from anokit.recipe.parts import NamedScore

Standard = list[tuple[float, float]]
"""What is taken off the values of each term of a score, and what they are divided by."""


def standards_of(
    scores: Sequence[NamedScore], values: Mapping[str, npt.NDArray[np.float64]], images: int
) -> dict[str, Standard]:
    """Return centre and spread of the terms of each standardised sum, by the name of the score.

    The spread is divided by the share of its weight that a term has, so that what is stored says
    all that a sum is made by.

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
            scales = [robust_scale(values[term.key]) for term in score.terms]
            found[score.name] = [
                (centre, spread / term.share_of_weight(images))
                for term, (centre, spread) in zip(score.terms, scales, strict=True)
            ]
    return found


def robust_scale(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the median, and 1.4826 times the median absolute deviation, of ``values`` ``[N]``.

    Where that is 0 the standard deviation stands for it, and where that is 0 too, 1.
    """
    centre = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - centre)))
    return centre, spread or float(values.std()) or 1.0
