"""A score to be checked: built, fitted where it learns, with trips to score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from anokit.testing.backbone_subject import GREY, BackboneSubject, random_images
from anokit.testing.check import expect, fail
from anokit.testing.subject import Subject
from anokit.testing.trips import cloned, random_trip, select
from anokit.types import RoundTrip, layout_of
from anokit.types.models import ROUND_TRIP_FIELDS

COUNT = 6
"""Images that are scored."""

TRAINING = 40
"""Images that a score is fitted on, in batches of ten."""


@dataclass(frozen=True)
class ScoreSubject(Subject):
    """A score, fitted on random trips; a sample replaces these with the plugin's own."""

    @cached_property
    def planted(self) -> tuple[RoundTrip, RoundTrip] | None:
        """Return ordinary and anomalous trips that the plugin supplies, or None."""
        return self.sample() if self.sample else None

    @cached_property
    def training(self) -> list[RoundTrip]:
        """Return the batches that a score which learns is fitted on."""
        if self.planted:
            return [select(self.planted[0], range(0, _count(self.planted[0]), 2))]
        whole = self._trip(TRAINING, seed=1)
        return [select(whole, range(start, start + 10)) for start in range(0, TRAINING, 10)]

    @cached_property
    def trip(self) -> RoundTrip:
        """Return the trip that checks score, all its fields filled."""
        if self.planted:
            return select(self.planted[0], range(min(COUNT, _count(self.planted[0]))))
        return self._trip(COUNT, seed=2)

    @cached_property
    def score(self) -> Any:
        """Return the score, fitted."""
        return self.fresh()

    def fresh(self) -> Any:
        """Build another score and fit it."""
        score = self.make()
        if self.learns(score):
            with torch.no_grad():
                score.fit([cloned(trip) for trip in self.training])
        return score

    @staticmethod
    def learns(score: Any) -> bool:
        """Return whether a score is fitted to the training set."""
        return callable(getattr(score, "fit", None))

    def values(self, trip: RoundTrip, score: Any = None) -> Tensor:
        """Return ``[B]`` of a trip, as anokit calls a score: without gradients."""
        with torch.no_grad():
            value = (score or self.score)(trip)
        return self.checked(value, "the score", (_count(trip),))

    def maps(self, trip: RoundTrip) -> Tensor:
        """Return ``[B, H, W]`` of a trip."""
        with torch.no_grad():
            value = self.score.map(trip)
        return self.checked(value, "the map", (_count(trip), *trip.image.shape[-2:]))

    @staticmethod
    def checked(value: object, what: str, shape: tuple[int, ...]) -> Tensor:
        """Return ``value``, a tensor of that shape."""
        if not isinstance(value, Tensor):
            fail(f"{what} is a {type(value).__name__}, expected a tensor {list(shape)}")
        expect(
            tuple(value.shape) == shape,
            f"{what} of {shape[0]} images is {list(value.shape)}, expected {list(shape)}",
        )
        return value

    def _trip(self, count: int, seed: int) -> RoundTrip:
        """Return a random trip; the plugin's own fields come from the backbone that has them."""
        further = (self.needs | self.map_needs) - set(ROUND_TRIP_FIELDS)
        own = {name for name in further if not layout_of(name)}
        scales = sorted({name.partition(".")[2] for name in further - own})
        if not own:
            return random_trip(count, seed, scales=scales)
        backbones = [e for e in self.plugin.entries if e.kind == "backbone"]
        makers = [BackboneSubject(self.plugin, entry) for entry in backbones]
        able = next((maker for maker in makers if own <= maker.provides), None)
        if able is None:
            name = self.entry.component.name
            fail(
                f"needs {sorted(own)}, which no backbone of this plugin fills; supply trips: "
                f"samples={{{name!r}: function}} of (ordinary, anomalous) trips"
            )
        images = random_images(count, GREY, seed)
        extra = able.trip(able.trained(GREY), images, frozenset(own)).extra
        whole = random_trip(count, seed, GREY, scales)
        return replace(whole, extra={**whole.extra, **extra})


def _count(trip: RoundTrip) -> int:
    first = next(value for name in sorted(trip.filled()) if (value := trip.get(name)) is not None)
    return len(first)


@contextmanager
def without_fallout(what: str) -> Iterator[None]:
    """Turn any error into a `CheckFailed` that says what broke."""
    try:
        yield
    except Exception as error:
        fail(f"{what}: {type(error).__name__}: {error}")
