"""Training images that look anomalous to the model are left out while it is trained.

What judges is handed in (`Judge`): this room knows neither scores nor labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.feed import Feed
from anokit.data.sets import Rows, TrainingSet
from anokit.recipe.tables import RefineSettings
from anokit.training.position import Position

Judge = Callable[[], npt.NDArray[np.float64]]
"""Returns how anomalous every training image looks to the model as it is: ``[N]``."""

KEPT = "refinement/kept"
"""Key of a checkpoint's tensor: ``[J, N]`` of bool, a row for each judgement."""


@dataclass
class Refinement:
    """The judgements of a run so far; a checkpoint holds them."""

    shown: list[int] = field(default_factory=list)
    """training images that had been shown by each judgement"""
    kept: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    """``[N]`` for each: which images are shown from then on"""

    def add(self, shown: int, kept: npt.NDArray[np.bool_]) -> None:
        """Note a judgement."""
        self.shown.append(shown)
        self.kept.append(kept)

    def tensors(self) -> dict[str, Tensor]:
        """Return what goes into a checkpoint beside ``shown``."""
        return {KEPT: torch.from_numpy(np.stack(self.kept))} if self.kept else {}

    @classmethod
    def of(cls, shown: list[int], tensors: Mapping[str, Any]) -> Refinement:
        """Return what `tensors` and ``shown`` were taken from."""
        return cls(list(shown), list(tensors[KEPT].numpy()) if KEPT in tensors else [])


class Refiner:
    """Decides when training images are judged, and shows those alone that are kept.

    Parameters
    ----------
    settings
        What the recipe asks for.
    judge
        What tells how anomalous each training image looks.
    train
        The training set.
    feed
        What shows it.
    total
        Images that all phases show together, once through.
    """

    def __init__(
        self, settings: RefineSettings, judge: Judge, train: TrainingSet, feed: Feed, total: int
    ) -> None:
        self.settings = settings
        self.judge = judge
        self.train = train
        self.feed = feed
        self.first = settings.pause * len(train)
        """images shown before the first judgement"""
        rest = 0.0 if settings.afresh else settings.rest
        self.last = total - rest * len(train)
        """images shown after which no judgement comes any more"""

    def due(self, position: Position, refinement: Refinement) -> bool:
        """Return whether a judgement is due where training has come to.

        An epoch is as many images as the training set has, whether all of them are shown or not.
        """
        between = self.settings.every * len(self.train)
        due = self.first + len(refinement.shown) * between
        return due <= position.shown <= self.last and not position.afresh

    def kept(self) -> npt.NDArray[np.bool_]:
        """Judge all training images as the model is now; return which are kept: ``[N]``."""
        kept = np.ones(len(self.train), dtype=bool)
        kept[rejected(self.judge(), self.train, self.settings.share)] = False
        return kept

    def show(self, refinement: Refinement) -> None:
        """Show only what the last judgement left in, if there was one, from its place on."""
        if refinement.shown:
            self.feed.restrict(np.flatnonzero(refinement.kept[-1]), refinement.shown[-1])


def rejected(scores: npt.NDArray[np.float64], train: TrainingSet, share: float) -> Rows:
    """Return the training images that look most anomalous, a ``share`` of all, sorted.

    Where images are tiles, whole photographs are taken, by the largest score of their tiles. Of
    equal scores the later image goes.
    """
    wholes = train.wholes
    order = np.argsort(wholes.largest(scores), kind="stable")
    out = order[len(order) - int(share * len(order)) :]
    return np.flatnonzero(np.isin(wholes.of_tile, out))
