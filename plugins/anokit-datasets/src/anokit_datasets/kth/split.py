"""Which objects are trained on, which contaminate and which are the test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anokit.data import seeded_order
from anokit.errors import DataError
from anokit_datasets.kth.objects import Objects
from anokit_datasets.options import KthOptions

Indices = npt.NDArray[np.int64]

HELD_OUT_FAMILIES = 32
HELD_OUT_SHARE = 0.2
"""The test set comes from at least this many families or this share of them, whichever is less:
256 pictures of one cell would be a poor test."""


@dataclass(frozen=True)
class Division:
    """Indices into the objects, each ascending, no two sharing an element."""

    train: Indices
    contaminants: Indices
    test_normal: Indices
    test_anomalous: Indices
    notices: tuple[str, ...] = ()


def divide(objects: Objects, options: KthOptions) -> Division:
    """Divide cells into training and test, debris into contaminants and test.

    ``split = "track"`` holds out whole families; what is held out and not drawn for the test set is
    used nowhere. ``"detection"`` draws single objects, as published.

    Raises
    ------
    DataError
        Where there are fewer than two cells, or than two families of cells.
    """
    cells = np.flatnonzero(~objects["debris"])
    debris = np.flatnonzero(objects["debris"])
    if len(cells) < 2:
        raise DataError(
            f"{options.root}: {len(cells)} labelled cells; a data set needs two at least"
        )
    notices = []
    if not len(debris):
        notices.append(
            f"{options.root}: no debris (false_positives/), so nothing in the test set is anomalous"
        )
    if options.split == "detection":
        train, test_normal = by_detection(cells, options, "cells")
        contaminants, test_anomalous = by_detection(debris, options, "debris")
        notices.append(
            'split = "detection", as published: the same cells are on both sides, which flatters '
            'every score; split = "track" keeps them apart'
        )
    else:
        train, test_normal = by_family(cells, objects, options, "cells")
        if not len(train):
            raise DataError(
                f"{options.root}: all cells are of one family, so none can be held out; "
                'add sequences, or set split = "detection"'
            )
        contaminants, test_anomalous = by_family(debris, objects, options, "debris")
    return Division(train, contaminants, test_normal, test_anomalous, tuple(notices))


def by_detection(indices: Indices, options: KthOptions, side: str) -> tuple[Indices, Indices]:
    """Return (rest, drawn): at most ``test_size`` and at most half are drawn."""
    count = min(options.test_size, (len(indices) + 1) // 2)
    order = seeded_order(len(indices), options.draw_seed, "kth", "detection", side)
    return indices[np.sort(order[count:])], indices[np.sort(order[:count])]


def by_family(
    indices: Indices, objects: Objects, options: KthOptions, side: str
) -> tuple[Indices, Indices]:
    """Return (objects of the families that stay, drawn from the families that are held out).

    A single family is held out as a whole. Of several, one stays at least, and the held-out ones
    never have more than half of all objects, unless the first of them does.
    """
    families, sizes = np.unique(objects["group"][indices], return_counts=True)
    order = seeded_order(len(families), options.draw_seed, "kth", "family", side)
    at_least = min(HELD_OUT_FAMILIES, int(np.ceil(HELD_OUT_SHARE * len(families))))
    held: list[int] = []
    objects_held = 0
    for place in order:
        enough = len(held) >= at_least and objects_held >= options.test_size
        too_many = objects_held + sizes[place] > len(indices) / 2
        if held and (enough or len(held) == len(families) - 1):
            break
        if held and too_many:
            continue
        held.append(int(families[place]))
        objects_held += int(sizes[place])
    is_held = np.isin(objects["group"][indices], held)
    candidates = indices[is_held]
    drawn = seeded_order(len(candidates), options.draw_seed, "kth", "drawn", side)[
        : options.test_size
    ]
    return indices[~is_held], candidates[np.sort(drawn)]
