"""Checks of scores on what real data hold now and then: empty images, copies, other shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from anokit.errors import AnokitError
from anokit.registry.blame import line_of
from anokit.testing.check import CheckFailed, expect, promise
from anokit.testing.edge_trips import EDGES
from anokit.testing.score_subject import BATCH, COUNT, TRAINING, ScoreSubject
from anokit.testing.trips import Batches, cloned, select
from anokit.types import RoundTrip


@promise("score", since="0.1")
def check_score_edge_images(subject: ScoreSubject) -> None:
    """Check that flat images, zeros, copies and perfect trips have finite scores, or an error."""
    subject.values(subject.trip)  # what fails on ordinary images too is no matter of edges
    faults: list[str] = []
    learns = subject.learns(subject.score)
    for name, made in EDGES.items():
        faults += _faults(subject, lambda: subject.score, {name: made(subject.trip)})
        if learns:
            images = made(subject.learned_from)
            fit = partial(subject.fresh, Batches.of(images, BATCH))
            trips = {"these": images, "ordinary images": subject.trip}
            faults += [f"fitted on {name}: {text}" for text in _faults(subject, fit, trips)]
    expect(not faults, "\n".join(faults))


@promise("score", since="0.1")
def check_score_image_shapes(subject: ScoreSubject) -> None:
    """Check that grey and colour images of several sizes, square or not, are scored or refused."""
    subject.values(subject.trip)
    faults: list[str] = []
    learning = TRAINING if subject.learns(subject.score) else 0
    for spec in subject.shapes:
        try:
            images = subject.random(COUNT + learning, seed=8, spec=spec)
        except AnokitError:
            continue  # a backbone that its own fields come from takes no such images
        others = select(images, range(COUNT, COUNT + learning)) if learning else images
        fit = partial(subject.fresh, Batches.of(others, BATCH))
        faults += _faults(subject, fit, {f"images of {spec}": select(images, range(COUNT))})
    expect(not faults, "\n".join(faults))


def _faults(
    subject: ScoreSubject, make: Callable[[], Any], trips: Mapping[str, RoundTrip]
) -> list[str]:
    """Return what goes wrong where a score is made and asked about trips, by their names.

    Errors that a user can mend are right.
    """
    made: list[Any] = []
    faults = list(_fault(subject, "", lambda: made.append(make())))
    for score in made:
        for name, trip in trips.items():
            scored = partial(_judge, subject.values, trip, score)
            faults += _fault(subject, f"scoring {name}: ", scored)
            if subject.has_map:
                drawn = partial(_judge, subject.maps, trip, score)
                faults += _fault(subject, f"a map of {name}: ", drawn)
    return faults


def _fault(subject: ScoreSubject, what: str, call: Callable[[], object]) -> Iterator[str]:
    try:
        call()
    except CheckFailed as error:
        yield f"{what}{error}"
    except AnokitError:
        pass
    except Exception as error:
        where = line_of(subject.entry, error)
        yield f"{what}{type(error).__name__}: {error}{f' ({where})' if where else ''}"


def _judge(call: Callable[[RoundTrip, Any], Tensor], trip: RoundTrip, score: Any) -> None:
    values = call(cloned(trip), score)
    bad = ~torch.isfinite(values)
    expect(not bad.any(), f"{int(bad.sum())} of {bad.numel()} values are not finite")
