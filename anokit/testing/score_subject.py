"""A score to be checked: built, fitted where it learns, with trips to score."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from anokit.testing.backbone_subject import COLOUR, GREY, BackboneSubject, random_images
from anokit.testing.check import expect, fail
from anokit.testing.subject import Subject
from anokit.testing.trips import SPEC, Batches, batch_of, cloned, random_trip, select
from anokit.types import ImageSpec, RoundTrip, layout_of
from anokit.types.models import ROUND_TRIP_FIELDS

COUNT = 6
"""Images that are scored."""

TRAINING, BATCH = 40, 10
"""Images that a score is fitted on, and how many of them are in a batch."""

SHAPES = (ImageSpec(1, 16, 16), ImageSpec(3, 24, 24), ImageSpec(3, 24, 16), ImageSpec(1, 16, 40))
"""Grey and colour, two sizes, higher than wide and wider than high."""


@dataclass(frozen=True)
class ScoreSubject(Subject):
    """A score, fitted on random trips; a sample replaces these with the plugin's own.

    Whoever asks gets copies, of trips and of the score, so that no check sees what another one, or
    the score itself, wrote or remembers.
    """

    @property
    def planted(self) -> tuple[RoundTrip, RoundTrip] | None:
        """Return ordinary and anomalous trips that the plugin supplies, or None."""
        if self._planted is None:
            return None
        ordinary, anomalous = self._planted
        return cloned(ordinary), cloned(anomalous)

    @property
    def learned_from(self) -> RoundTrip:
        """Return the images that a score which learns is fitted on, as one trip."""
        return cloned(self._learned_from)

    @property
    def training(self) -> Batches:
        """Return the same in batches."""
        return Batches.of(self._learned_from, BATCH)

    @property
    def trip(self) -> RoundTrip:
        """Return the trip that checks score, all its fields filled."""
        return cloned(self._trip)

    @property
    def score(self) -> Any:
        """Return the score, fitted, that nobody has called yet."""
        try:
            return copy.deepcopy(self._fitted)
        except Exception:  # of whatever it is made of: what cannot be copied is made anew
            return self.fresh()

    @cached_property
    def _planted(self) -> tuple[RoundTrip, RoundTrip] | None:
        return self.sample() if self.sample else None

    @cached_property
    def _learned_from(self) -> RoundTrip:
        if self._planted:
            return select(self._planted[0], range(0, batch_of(self._planted[0]), 2))
        return self.random(TRAINING, seed=1)

    @cached_property
    def _trip(self) -> RoundTrip:
        if self._planted:
            return select(self._planted[0], range(min(COUNT, batch_of(self._planted[0]))))
        return self.random(COUNT, seed=2)

    @cached_property
    def _fitted(self) -> Any:
        return self.fresh()

    def fresh(self, trips: Iterable[RoundTrip] | None = None, score: Any = None) -> Any:
        """Build another score, unless one is given, and fit it; on ``training`` by default."""
        score = self.make() if score is None else score
        if self.learns(score):
            with torch.no_grad():
                score.fit(self.training if trips is None else trips)
        return score

    @staticmethod
    def learns(score: Any) -> bool:
        """Return whether a score is fitted to the training set."""
        return callable(getattr(score, "fit", None))

    @cached_property
    def has_map(self) -> bool:
        """Return whether the score draws maps and says so."""
        return callable(getattr(self._fitted, "map", None)) and bool(self.map_needs)

    def values(self, trip: RoundTrip, score: Any = None) -> Tensor:
        """Return ``[B]`` of a trip, as anokit calls a score: without gradients."""
        with torch.no_grad():
            value = (self.score if score is None else score)(trip)
        return self.checked(value, "the score", (batch_of(trip),))

    def maps(self, trip: RoundTrip, score: Any = None) -> Tensor:
        """Return ``[B, H, W]`` of a trip."""
        with torch.no_grad():
            value = (self.score if score is None else score).map(trip)
        return self.checked(value, "the map", (batch_of(trip), *trip.image.shape[-2:]))

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

    @cached_property
    def shapes(self) -> tuple[ImageSpec, ...]:
        """Return the shapes of images that it is tried on."""
        return (GREY, COLOUR) if self._own else SHAPES

    @cached_property
    def _further(self) -> frozenset[str]:
        """Return the fields that it reads and that not every trip may have."""
        return (self.needs | self.map_needs) - set(ROUND_TRIP_FIELDS)

    @cached_property
    def _own(self) -> frozenset[str]:
        """Return those of them that only a backbone of its plugin fills."""
        return frozenset(name for name in self._further if not layout_of(name))

    @cached_property
    def _scales(self) -> list[str]:
        """Return the names of the scales that it reads."""
        return sorted({name.partition(".")[2] for name in self._further - self._own})

    @cached_property
    def _maker(self) -> BackboneSubject:
        backbones = [e for e in self.plugin.entries if e.kind == "backbone"]
        makers = [BackboneSubject(self.plugin, entry) for entry in backbones]
        able = next((maker for maker in makers if self._own <= maker.provides), None)
        if able is None:
            name = self.entry.component.name
            fail(
                f"needs {sorted(self._own)}, which no backbone of this plugin fills; supply trips: "
                f"samples={{{name!r}: function}} of (ordinary, anomalous) trips"
            )
        return able

    def random(self, count: int, seed: int, spec: ImageSpec | None = None) -> RoundTrip:
        """Return a random trip; the plugin's own fields come from the backbone that has them."""
        if not self._own:
            return random_trip(count, seed, spec or SPEC, self._scales)
        spec = spec or GREY
        images = random_images(count, spec, seed)
        extra = self._maker.trip(self._maker.trained(spec), images, self._own).extra
        whole = random_trip(count, seed, spec, self._scales)
        return replace(whole, extra={**whole.extra, **extra})


@contextmanager
def without_fallout(what: str) -> Iterator[None]:
    """Turn any error into a `CheckFailed` that says what broke."""
    try:
        yield
    except Exception as error:
        fail(f"{what}: {type(error).__name__}: {error}")
