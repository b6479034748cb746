"""Scores of images: round trips through one backbone, every component computed once.

Whatever the training precision, scoring is in float32, under ``no_grad``, in evaluation mode.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from anokit.data import seeded_order
from anokit.data.sets import ImageTable, Rows
from anokit.recipe.parts import NamedScore
from anokit.scoring.built_score import BuiltScore, batch_of, build_score
from anokit.scoring.memory import TripMemory
from anokit.scoring.trips import Trips
from anokit.training.backbone import GuardedBackbone
from anokit.watching import NOBODY, Advance, Watcher

TIMED_SECONDS = 3.0
"""About how long a score is timed."""

Values = npt.NDArray[np.float64]


@dataclass
class Scored:
    """What one pass over images gave, in the order of the pass."""

    values: dict[str, Values] = field(default_factory=dict)
    """``[N]`` by component key"""
    latent: npt.NDArray[np.float32] | None = None
    """``[N, Z]`` where it was asked for"""

    def restored(self, rows: Rows) -> Scored:
        """Return what a pass over ``rows``, a permutation, gave in the order of the images."""
        back = np.argsort(rows)
        latent = None if self.latent is None else self.latent[back]
        return Scored({key: values[back] for key, values in self.values.items()}, latent)


class Scorer:
    """The scores of a recipe over one model."""

    def __init__(
        self,
        scores: Sequence[NamedScore],
        backbone: GuardedBackbone | None,
        device: torch.device,
        batch_size: int,
        seed: int,
    ) -> None:
        self.scores = list(scores)
        self.backbone = backbone
        self.device = device
        self.batch_size = batch_size
        self.seed = seed
        self.components: dict[str, BuiltScore] = {}
        for score in self.scores:
            for term in score.terms:
                if term.key not in self.components:
                    self.components[term.key] = build_score(term, device)

    def of(self, score: NamedScore) -> list[BuiltScore]:
        """Return the components of one score."""
        return [self.components[term.key] for term in score.terms]

    def is_fitted(self, score: NamedScore) -> bool:
        """Return whether any term of a score learns from the training set."""
        return any(component.fitted for component in self.of(score))

    def fit(
        self,
        images: ImageTable,
        rows: Rows,
        watcher: Watcher = NOBODY,
        memory: TripMemory | None = None,
    ) -> dict[str, int]:
        """Fit every component that learns, on the training images at ``rows``.

        Returns the number of images that each was fitted on, by component key.
        """
        used: dict[str, int] = {}
        for key, component in self.components.items():
            if not component.fitted:
                continue
            most, chosen = component.max_fit_images, rows
            if most is not None and len(rows) > most:
                chosen = np.sort(rows[seeded_order(len(rows), self.seed, "fit")[:most]])
            advance = watcher.track(f"fitting {component.part.entry.component.name}", len(chosen))
            component.fit(self.trips(images, chosen, component.needs, advance, memory))
            used[key] = len(chosen)
        return used

    def memory(self, count: int) -> TripMemory | None:
        """Return a memory of trips for fitting on some of ``count`` images.

        It holds as long as the weights do. Where scores depend on the batch there is none.
        """
        if self.backbone is None or self.backbone.batch_dependence:
            return None
        return TripMemory(count)

    def trips(
        self,
        images: ImageTable,
        rows: Rows,
        needs: frozenset[str],
        advance: Advance | None = None,
        memory: TripMemory | None = None,
    ) -> Trips:
        """Return round trips of the images at ``rows``."""
        return Trips(
            self.backbone, images, rows, needs, self.batch_size, self.device, advance, memory
        )

    def compute(
        self,
        images: ImageTable,
        rows: Rows,
        *,
        only: Callable[[BuiltScore], bool] = lambda component: True,
        latent: bool = False,
        advance: Advance | None = None,
    ) -> Scored:
        """Score the images at ``rows`` by every component that ``only`` admits."""
        chosen = {key: c for key, c in self.components.items() if only(c)}
        needs = frozenset[str]().union(*(c.needs for c in chosen.values()), {"image"})
        if latent:
            needs |= {"latent"}
        parts: dict[str, list[npt.NDArray[np.float32]]] = {key: [] for key in chosen}
        latents: list[npt.NDArray[np.float32]] = []
        for trip in self.trips(images, rows, needs, advance):
            for key, component in chosen.items():
                parts[key].append(component.compute(trip).cpu().numpy())
            if latent:
                latents.append(trip.latent.float().cpu().numpy())
        values = {
            key: np.concatenate(found).astype(np.float64) if found else np.zeros(0)
            for key, found in parts.items()
        }
        return Scored(values, np.concatenate(latents) if latents else None)

    def combine(self, score: NamedScore, values: Mapping[str, Values]) -> Values:
        """Return the weighted sum of a score's terms, ``[N]``."""
        return np.sum([term.weight * values[term.key] for term in score.terms], axis=0)

    def maps(
        self, score: NamedScore, images: ImageTable, rows: Rows, advance: Advance | None = None
    ) -> npt.NDArray[np.float32] | None:
        """Return per-pixel maps ``[N, H, W]`` of a score, or None where no term has one.

        A weighted sum's map is the weighted sum of the maps of those terms that have one.
        """
        terms = [(term.weight, self.components[term.key]) for term in score.terms]
        terms = [(weight, component) for weight, component in terms if component.has_map]
        if not terms:
            return None
        needs = frozenset[str]().union(*(c.needs | c.map_needs for _, c in terms), {"image"})
        found = [
            sum(weight * component.compute_map(trip) for weight, component in terms)
            for trip in self.trips(images, rows, needs, advance)
        ]
        return np.concatenate([torch.as_tensor(part).cpu().numpy() for part in found])

    def milliseconds(self, score: NamedScore, images: ImageTable, rows: Rows) -> float:
        """Return the time of one score alone, network and all, per image in a batch.

        Timing ends after the first batch that makes it longer than a few seconds.
        """
        components = self.of(score)
        needs = frozenset[str]().union(*(c.needs for c in components), {"image"})
        best = float("inf")
        for _ in range(2):  # the first pass warms up
            began, count = time.perf_counter(), 0
            for trip in self.trips(images, rows, needs):
                for component in components:
                    component.compute(trip)
                count += batch_of(trip)
                if time.perf_counter() - began > TIMED_SECONDS:
                    break
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            passed = time.perf_counter() - began
            best = min(best, passed / max(count, 1))
            if passed > TIMED_SECONDS:  # long enough for a warm-up not to matter
                break
        return 1000 * best

    def save(self, folder: Path) -> None:
        """Write the state of every fitted component, one file each."""
        for component in self.components.values():
            component.save(folder)

    def load(self, folder: Path) -> None:
        """Read the state of every fitted component."""
        for component in self.components.values():
            component.load(folder)
