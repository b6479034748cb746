"""What every dataset factory of this package returns, and seeded draws from a labelled set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from anokit.data import ArraySplit, seeded_order
from anokit.types import ImageSpec


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset that has been read: `anokit.types.DatasetSource` as a plain value."""

    spec: ImageSpec
    """shape of every image"""
    train: ArraySplit
    """taken as normal, in truth unlabelled"""
    contaminants: ArraySplit | None = None
    """anomalies of the training side"""
    test: ArraySplit | None = None
    """labelled images, or None"""
    protocol: str
    """how normal and anomalous were defined"""
    notices: Sequence[str] = ()
    """sentences that a run shows"""
    unread: Mapping[str, str] = field(default_factory=dict)
    """files that could not be read, and why, by name"""
    simulated: bool = False
    """whether the images were drawn by a program instead of read from the data set"""


def draw(count: int, limit: int | None, *seed: int | str) -> npt.NDArray[np.int64]:
    """Return at most ``limit`` of ``range(count)``, drawn by ``seed``, in ascending order.

    Draws are nested: a larger limit under the same seed contains the smaller one.
    """
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(seeded_order(count, *seed)[:limit])


def draw_in_proportion(
    labels: Sequence[int], limit: int | None, *seed: int | str
) -> npt.NDArray[np.int64]:
    """Return at most ``limit`` indices of ``labels`` (0 or 1), each label by its share of all.

    Of each label that occurs at least one is kept, so that a small subset of a test set can still
    be evaluated. Ascending order.
    """
    values = np.asarray(labels)
    if limit is None or limit >= len(values):
        return np.arange(len(values))
    anomalous = np.flatnonzero(values == 1)
    normal = np.flatnonzero(values != 1)
    wanted = round(limit * len(anomalous) / len(values))
    if len(anomalous) and len(normal):
        wanted = min(max(wanted, 1), limit - 1)
    return np.sort(
        np.concatenate(
            [
                anomalous[draw(len(anomalous), wanted, *seed, "anomalous")],
                normal[draw(len(normal), limit - wanted, *seed, "normal")],
            ]
        )
    )
