"""Try a recipe's components out on a few images, so that what must fail fails in a second.

Before training, through the untrained network; and once scores are fitted, before the full pass,
for what depends on the other images of its batch. No label is read, nothing is drawn at random, and
nothing of what is tried out stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from anokit.data.pixels import to_float
from anokit.data.sets import ImageTable, Rows
from anokit.errors import AnokitError
from anokit.recipe.parts import NamedScore
from anokit.registry.blame import PluginFault, place_of, who
from anokit.registry.guard import closely
from anokit.scoring.built_score import BuiltScore, batch_of, failing
from anokit.scoring.scorer import Scorer
from anokit.training.backbone import GuardedBackbone
from anokit.training.job import Job
from anokit.training.memory import TripMemory
from anokit.types import RoundTrip

FEW, MORE = 32, 256
"""Images that a score is fitted on to try it out, and where that fails, for these may be few."""

PROBED = 6
"""Images of the probe for what depends on its batch."""

RTOL = 1e-3
"""How far the score of an image may move with its batch, relative to the largest: rounding."""
NOISE = 1e-12
"""How far they may move whatever the largest is: float32 rounds values near 1 by 1e-7, and of a
residual that is nothing but rounding, squares are left."""


def select(trip: RoundTrip, rows: Iterable[int]) -> RoundTrip:
    """Return the trip of the images at ``rows``, in that order."""
    chosen = torch.tensor(list(rows))
    return trip.map(lambda tensor: tensor[chosen.to(tensor.device)])


def close(first: Tensor, second: Tensor, rtol: float) -> bool:
    """Return whether two results are equal up to ``rtol`` of the largest, NaN being like NaN."""
    one, other = first.double(), second.double()
    finite = torch.where(torch.isfinite(one), one.abs(), 0.0)
    scale = float(finite.max()) if finite.numel() else 0.0
    near = (one - other).abs() <= max(rtol * (scale or 1.0), NOISE)
    return bool((near | (one == other) | (one.isnan() & other.isnan())).all())


@closely()
def try_out(job: Job) -> None:
    """Send two training images, and then one, through all that a recipe names, untrained.

    Every score is built, and fitted on a few images where it learns; every map and encoder loss is
    called. Whether what comes out is finite is judged after training alone, unless a score reads
    nothing but images. A network that searches makes one trip, and no score is fitted on its trips.

    Raises
    ------
    PluginFault
        Where a component raises, gives something else than it must, writes into what it was given,
        or depends on the other images of its batch without saying so.
    """
    recipe, backbone, images = job.recipe, job.backbone, job.data.train.images
    scores: Sequence[NamedScore] = (*recipe.scores, *recipe.baselines)
    scorer = Scorer(scores, backbone, job.device, recipe.evaluation.batch_size, recipe.seed)
    needs = frozenset[str]().union(
        {"image"},
        *(component.needs | component.map_needs for component in scorer.components.values()),
        *(loss.needs for loss in backbone.losses),
    )
    rows = np.array([0, len(images) // 2][: len(images)], dtype=np.int64)
    pair = _trip(job, rows, needs)
    one = select(pair, [0]) if backbone.searches else _trip(job, rows[:1], needs)
    if not backbone.searches:
        _compare_trips(backbone, pair, [one], [[0]])
    for loss in backbone.losses:
        with torch.no_grad():
            loss.loss(pair)
            loss.loss(one)
    never_trained = not recipe.backbone.entry.component.trained
    memory = job.memory if never_trained else scorer.memory(min(MORE, len(images)))
    if memory:
        fitted = [component.needs for component in scorer.components.values() if component.fitted]
        memory.want(frozenset[str]().union(*fitted))
    for component in scorer.components.values():
        if component.fitted and (
            backbone.searches or not _fitted(scorer, component, images, memory)
        ):
            continue
        _try_score(component, pair)


def _try_score(component: BuiltScore, pair: RoundTrip) -> None:
    try:
        check_batches(component, pair, [[0], list(range(batch_of(pair)))[::-1]])
    except PluginFault as fault:
        # An untrained network may well make trips that a score cannot judge.
        if fault.place is None or component.needs <= {"image"}:
            raise


def _fitted(
    scorer: Scorer, component: BuiltScore, images: ImageTable, memory: TripMemory | None
) -> bool:
    """Fit one score on a few images; return whether that can be done at all."""
    for most in (FEW, MORE):
        rows = np.arange(min(most, len(images)), dtype=np.int64)
        try:
            component.fit(scorer.trips(images, rows, component.needs, None, memory))
        except PluginFault as fault:
            if type(fault.__cause__).__name__ == "LinAlgError":
                return False  # of features that are not trained
            if most == MORE or len(images) <= most or fault.__cause__ is None:
                raise
        except AnokitError:
            return False  # too few images, as a rule; all of them may do
        else:
            return True
    return False


def _trip(job: Job, rows: Rows, needs: frozenset[str]) -> RoundTrip:
    images = to_float(job.data.train.images.read(rows).to(job.device))
    return job.backbone.round_trip(images, needs)


@closely()
def probe(scorer: Scorer, images: ImageTable, rows: Rows) -> None:
    """Score a few images whole, split and shuffled before the full pass.

    Raises
    ------
    PluginFault
        Where a score, a map or the network depends on the other images of its batch, and does not
        say so (``batch_dependence``).
    """
    components = list(scorer.components.values())
    needs = frozenset[str]().union({"image"}, *(c.needs | c.map_needs for c in components))
    backbone = scorer.backbone
    slow = backbone is not None and backbone.searches
    rows = rows[: 2 if slow else PROBED]
    if not len(rows):
        return
    count = len(rows)
    parts = [list(range(count))[::-1], list(range(count // 2)), list(range(count // 2, count))]
    parts = [part for part in parts if part]
    whole = scorer.trip_of(images, rows, needs)
    if backbone is not None and not slow:
        found = [scorer.trip_of(images, rows[part], needs) for part in parts]
        _compare_trips(backbone, whole, found, parts)
    for component in components:
        check_batches(component, whole, parts)


def check_batches(component: BuiltScore, whole: RoundTrip, parts: Sequence[Sequence[int]]) -> None:
    """Raise `PluginFault` where a score or map of ``parts`` of a trip is another than in it."""
    calls: list[tuple[Callable[[RoundTrip], Tensor], Any, str]]
    calls = [(component.compute, component.score, "score")]
    if component.has_map:
        calls.append((component.compute_map, cast("Any", component.score).map, "map"))
    for call, at, what in calls:
        together = call(whole)
        for part in parts:
            alone = call(select(whole, part))
            if component.batch_dependence or close(together[list(part)], alone, RTOL):
                continue
            text = (
                f"{who(component.part.entry)} depends on the other images of its batch "
                f"({place_of(at)}): the {what} of one image is {_shown(together[part[0]])} among "
                f"{batch_of(whole)} and {_shown(alone[0])} among {len(part)}; take statistics of "
                "each image or of the training set (fit), or, where it was published so, say so "
                "with an attribute batch_dependence"
            )
            with failing(component.part):
                raise PluginFault(text)


def _compare_trips(
    backbone: GuardedBackbone,
    whole: RoundTrip,
    found: Sequence[RoundTrip],
    parts: Sequence[Sequence[int]],
) -> None:
    if backbone.batch_dependence:
        return
    for trip, part in zip(found, parts, strict=True):
        for name in sorted(trip.filled()):
            alone, together = trip.get(name), whole.get(name)
            if alone is None or together is None or close(together[list(part)], alone, RTOL):
                continue
            raise PluginFault(
                f"{who(backbone.part.entry)} depends on the other images of the batch "
                f"({place_of(backbone.typed.round_trip)}): {name} of one image differs among "
                f"{batch_of(whole)} and among {len(part)}; in evaluation use running statistics, "
                "or, where it was published so, say so with an attribute batch_dependence"
            )


def _shown(value: Tensor) -> str:
    return f"{float(value.double().mean()):.6g}"
