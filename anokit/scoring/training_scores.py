"""Scores of training images by scores that did not learn from them. No label is read.

A score that is not fitted judges a training image like any other. A fitted one knows the images
that it was fitted on, so each is judged as if it had been left out: in closed form where the score
has one (`leave_one_out`), and otherwise by fitting several times, each time without some of the
images (cross-fitting). What such a score chooses by itself it then chooses once, by all images,
since scores by different choices are of different scale (`refit`). Where images belong together
(groups, tiles of one photograph) a whole group is left out, always by cross-fitting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anokit.data import seeded_order
from anokit.data.sets import Rows, TrainingSet, all_rows
from anokit.errors import DataError
from anokit.scoring.scorer import Admits, Maps, Scorer, Values
from anokit.training.memory import TripMemory
from anokit.watching import NOBODY, Watcher

MOST_FOLDS, FOLDED_IMAGES = 20, 10_000
"""Of N images that belong together there are at least ``FOLDED_IMAGES / N`` parts, up to
`MOST_FOLDS`: without a fifth of few images, scores that have a closed form for a single one find
new images so much farther off that their thresholds hardly raise an alarm."""

MAPPED_IMAGES = 64
"""Training images whose maps give the scale of maps, at most."""


@dataclass(frozen=True)
class TrainingScores:
    """Scores of training images, none by a score that was fitted on the image."""

    rows: Rows
    """the training images that were scored, sorted"""
    values: Mapping[str, Values]
    """``[len(rows)]`` by component key"""
    latent: npt.NDArray[np.float32] | None
    """``[len(rows), Z]`` where the backbone has one"""
    fitted_on: Mapping[str, Rows]
    """the images that each fitted component is fitted on in the end"""
    crossed: frozenset[str]
    """keys of components that were fitted several times"""
    folds: int
    """number of parts that were left out in turn, for these"""
    held_maps: Mapping[str, Maps]
    """``[n, H, W]`` by component key: of some images that it was not fitted on"""


def score_training(
    scorer: Scorer,
    train: TrainingSet,
    rows: Rows,
    folds: int,
    *,
    latent: bool = False,
    mapped: AbstractSet[str] = frozenset(),
    memory: TripMemory | None = None,
    watcher: Watcher = NOBODY,
) -> TrainingScores:
    """Score the training images at ``rows``, and leave ``scorer`` fitted on all of them.

    The centre and spread that ``combine = "robust-z"`` needs are taken on the way.

    Parameters
    ----------
    folds
        Into how many parts training images are divided where a score is fitted several times; where
        images belong together and are few, into more.
    latent
        Whether the latents of the images are wanted too.
    mapped
        Keys of the components of which maps are wanted too, of a few images.
    memory
        What remembers round trips of ``train``.
    """
    fitted = {key for key, component in scorer.components.items() if component.fitted}
    crossed = {
        key
        for key in fitted
        if train.units is not None or not scorer.components[key].leaves_one_out
    }
    if memory:
        # Each of these is fitted on the same images: no image makes a trip for each.
        memory.want(frozenset[str]().union(*(scorer.components[key].needs for key in fitted)))
    if train.units is not None:
        folds = max(folds, min(MOST_FOLDS, FOLDED_IMAGES // len(train)))
    parts = folds_of(len(train), folds, scorer.seed, train.units)
    values: dict[str, Values] = {}
    if choosing := {key for key in crossed if scorer.components[key].refits}:
        scorer.fit(train.images, all_rows(len(train)), watcher, memory, _among(scorer, choosing))
    if crossed:
        values |= _crossed(scorer, train, rows, parts, _among(scorer, crossed), memory, watcher)
    mapped = {key for key in mapped if scorer.components[key].has_map}
    held = rows[parts[rows] == 0][:MAPPED_IMAGES]
    if mapped & fitted:
        fit_without(scorer, train, held, _among(scorer, mapped & fitted), memory, watcher)
    held_maps = scorer.maps_of(mapped, train.images, held, memory=memory)
    fitted_on = scorer.fit(train.images, all_rows(len(train)), watcher, memory)
    advance = watcher.track("scoring training images", len(rows))
    plain = set(scorer.components) - fitted
    left_out = scorer.compute(
        train.images,
        rows,
        only=_among(scorer, (fitted - crossed) | plain),
        latent=latent,
        advance=advance,
        memory=memory,
        fitted_on=fitted_on,
    )
    values |= left_out.values
    scorer.standardise(values)
    return TrainingScores(
        rows=rows,
        values=values,
        latent=left_out.latent,
        fitted_on=fitted_on,
        crossed=frozenset(crossed),
        folds=int(parts.max()) + 1,
        held_maps=held_maps,
    )


def fit_without(
    scorer: Scorer,
    train: TrainingSet,
    rows: Rows,
    only: Admits,
    memory: TripMemory | None = None,
    watcher: Watcher = NOBODY,
) -> None:
    """Fit on all training images but those at ``rows`` and what belongs to them.

    Where too few are left for a score, it is fitted on all: so small a set still has maps.
    """
    left_out = np.isin(np.arange(len(train)), rows)
    if train.units is not None:
        names = np.asarray(train.units)
        left_out = np.isin(names, names[rows])
    left = np.flatnonzero(~left_out)
    try:
        if len(left):
            scorer.fit(train.images, left, watcher, memory, only, again=True)
            return
    except DataError:
        pass
    scorer.fit(train.images, all_rows(len(train)), watcher, memory, only)


def folds_of(count: int, folds: int, seed: int, units: Sequence[str] | None = None) -> Rows:
    """Return in which of ``folds`` parts each of ``count`` images is: ``[count]``, from 0.

    Parts are seeded and equally large but for one image, or, where images belong to ``units``, one
    unit: these stay together. There are never more parts than images or units.
    """
    names = (
        np.arange(count) if units is None else np.unique(np.asarray(units), return_inverse=True)[1]
    )
    several = int(names.max()) + 1 if count else 0
    order = seeded_order(several, seed, "folds")
    place = np.empty(several, dtype=np.int64)
    place[order] = np.arange(several)
    return place[names] % max(1, min(folds, several))


def _crossed(
    scorer: Scorer,
    train: TrainingSet,
    rows: Rows,
    parts: Rows,
    only: Admits,
    memory: TripMemory | None,
    watcher: Watcher,
) -> dict[str, Values]:
    """Score every part of the images by what was fitted on the others."""
    values: dict[str, Values] = {}
    for part in range(int(parts.max()) + 1):
        here = np.flatnonzero(parts[rows] == part)
        if not len(here):
            continue
        others = _others(parts, part)
        try:
            scorer.fit(train.images, others, watcher, memory, only, again=True)
        except DataError as error:
            if len(others) < len(parts):
                raise _of_a_part(error, len(others), len(parts)) from error
            raise
        found = scorer.compute(train.images, rows[here], only=only, memory=memory)
        for key, column in found.values.items():
            values.setdefault(key, np.empty(len(rows)))[here] = column
    return values


def _of_a_part(error: DataError, fitted: int, count: int) -> DataError:
    """Return an error with what its numbers are of: the user has more images than it names."""
    told = DataError(
        f"{error}; for its threshold it is fitted on {fitted:,} of the {count:,} images, to judge "
        "the others"
    )
    told.score_key = error.score_key
    return told


def _others(parts: Rows, part: int) -> Rows:
    """Return the images outside a part; all of them where there is but one part."""
    others = np.flatnonzero(parts != part)
    return others if len(others) else all_rows(len(parts))


def _among(scorer: Scorer, keys: set[str]) -> Admits:
    chosen = {id(scorer.components[key]) for key in keys}
    return lambda component: id(component) in chosen
