"""Scores of images: round trips through one backbone, every component computed once.

Whatever the training precision, scoring is in float32, under ``no_grad``, in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from anokit.data import seeded_order
from anokit.data.sets import ImageTable, Rows, places_in
from anokit.recipe.parts import NamedScore
from anokit.scoring.built_score import BuiltScore, batch_of, build_score
from anokit.scoring.standards import Standard, standard_of_sum, standards_of
from anokit.scoring.timing import best_of_two
from anokit.scoring.trips import Trips
from anokit.store.files import make_folder
from anokit.store.fitted_files import FittedFiles
from anokit.training.backbone import GuardedBackbone
from anokit.training.memory import TripMemory
from anokit.types import RoundTrip
from anokit.watching import NOBODY, Advance, Watcher

Values = npt.NDArray[np.float64]

Maps = npt.NDArray[np.float32]

Admits = Callable[[BuiltScore], bool]
"""Whether a component is meant."""

NOT_FITTED: Mapping[str, Rows] = {}


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
        self.standards: dict[str, Standard] = {}
        self.files = FittedFiles(Path())
        self.learnt_from = 0
        self._timed: dict[frozenset[str], tuple[RoundTrip, float]] = {}
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
        only: Admits = lambda component: True,
        *,
        again: bool = False,
    ) -> dict[str, Rows]:
        """Fit every component that learns and that ``only`` admits, on the images at ``rows``.

        Where it is done ``again``, on some of the images, what they chose by themselves is kept.
        Returns the images that each was fitted on, in their order, by component key.
        """
        used: dict[str, Rows] = {}
        self.learnt_from = len(rows)
        for key, component in self.components.items():
            if not component.fitted or not only(component):
                continue
            most, chosen = component.max_fit_images, rows
            if most is not None and len(rows) > most:
                chosen = np.sort(rows[seeded_order(len(rows), self.seed, "fit")[:most]])
            advance = watcher.track(f"fitting {component.part.entry.component.name}", len(chosen))
            trips = self.trips(images, chosen, component.needs, advance, memory)
            component.fit(trips, again=again)
            used[key] = chosen
        return used

    def memory(self, count: int) -> TripMemory | None:
        """Return a memory of trips for fitting on some of ``count`` images.

        It holds as long as the weights do. Where scores depend on the batch there is none.
        """
        return TripMemory.of(self.backbone, count)

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

    def trip_of(self, images: ImageTable, rows: Rows, needs: frozenset[str]) -> RoundTrip:
        """Return one round trip of all the images at ``rows`` together."""
        (trip,) = Trips(self.backbone, images, rows, needs, len(rows), self.device)
        return trip

    def compute(
        self,
        images: ImageTable,
        rows: Rows,
        *,
        only: Admits = lambda component: True,
        latent: bool = False,
        advance: Advance | None = None,
        memory: TripMemory | None = None,
        fitted_on: Mapping[str, Rows] = NOT_FITTED,
    ) -> Scored:
        """Score the images at ``rows`` by every component that ``only`` admits.

        An image that a component was fitted on (``fitted_on``, by component key, sorted) is scored
        as if it had been left out.
        """
        chosen = {key: c for key, c in self.components.items() if only(c)}
        needs = frozenset[str]().union(*(c.needs for c in chosen.values()), {"image"})
        if latent:
            needs |= {"latent"}
        parts: dict[str, list[npt.NDArray[np.float32]]] = {key: [] for key in chosen}
        latents: list[npt.NDArray[np.float32]] = []
        trips = self.trips(images, rows, needs, advance, memory)
        for number, trip in enumerate(trips):
            own = rows[number * self.batch_size : (number + 1) * self.batch_size]
            for key, component in chosen.items():
                known = places_in(fitted_on[key], own) if key in fitted_on else None
                with component.naming(images, own, trip):
                    parts[key].append(component.compute(trip, known).cpu().numpy())
            if latent:
                latents.append(trip.latent.float().cpu().numpy())
        values = {
            key: np.concatenate(found).astype(np.float64) if found else np.zeros(0)
            for key, found in parts.items()
        }
        return Scored(values, np.concatenate(latents) if latents else None)

    def combine(self, score: NamedScore, values: Mapping[str, Values]) -> Values:
        """Return the sum of a score's terms, or what its sums say together: ``[N]``."""
        return self.standard(score).together(dict(enumerate(self.sums(score, values))))

    def sums(self, score: NamedScore, values: Mapping[str, Values]) -> list[Values]:
        """Return the sums of a score's terms, standardised where it says so: ``[N]`` each."""
        parts = zip(score.terms, self.standard(score).scales, strict=True)
        found = [term.weight * (values[term.key] - at) / by for term, (at, by) in parts]
        return [np.sum(found[terms], axis=0, dtype=np.float64) for terms in score.sums]

    def standard(self, score: NamedScore) -> Standard:
        """Return what the terms of a score are brought to one scale by."""
        return standard_of_sum(score) if score.combine == "sum" else self.standards[score.name]

    def standardise(self, values: Mapping[str, Values]) -> None:
        """Take the centre and spread of each term from its values of training images."""
        self.standards = standards_of(self.scores, values, self.learnt_from)

    def maps(
        self,
        score: NamedScore,
        images: ImageTable,
        rows: Rows,
        advance: Advance | None = None,
        memory: TripMemory | None = None,
    ) -> Maps | None:
        """Return per-pixel maps ``[N, H, W]`` of a score, or None where no term has one."""
        keys = {term.key for term in score.terms}
        return self.combine_maps(score, self.maps_of(keys, images, rows, advance, memory))

    def maps_of(
        self,
        keys: AbstractSet[str],
        images: ImageTable,
        rows: Rows,
        advance: Advance | None = None,
        memory: TripMemory | None = None,
    ) -> dict[str, Maps]:
        """Return per-pixel maps ``[N, H, W]`` of those of the components that have one, by key."""
        chosen = {key: c for key, c in self.components.items() if key in keys and c.has_map}
        if not chosen or not len(rows):
            return {}
        needs = frozenset[str]().union(*(c.needs | c.map_needs for c in chosen.values()), {"image"})
        parts: dict[str, list[Maps]] = {key: [] for key in chosen}
        trips = self.trips(images, rows, needs, advance, memory)
        for number, trip in enumerate(trips):
            own = rows[number * self.batch_size : (number + 1) * self.batch_size]
            for key, component in chosen.items():
                with component.naming(images, own, trip):
                    parts[key].append(component.compute_map(trip).cpu().numpy())
        return {key: np.concatenate(found) for key, found in parts.items()}

    def combine_maps(self, score: NamedScore, maps: Mapping[str, Maps]) -> Maps | None:
        """Return the map of a score from those of its terms, or None where no term has one.

        That of a sum is the sum over those terms that have a map, standardised as their scores are.
        Those of several sums become one, pixel by pixel, as their scores do.
        """
        standard = self.standard(score)
        parts = [*zip(score.terms, standard.scales, strict=True)]
        mapped = [[part for part in parts[terms] if part[0].key in maps] for terms in score.sums]
        sums: dict[int, Maps] = {
            place: np.sum([t.weight * (maps[t.key] - at) / by for t, (at, by) in terms], axis=0)
            for place, terms in enumerate(mapped)
            if terms
        }
        return standard.together(sums) if sums else None

    def milliseconds(self, score: NamedScore, images: ImageTable, rows: Rows) -> float:
        """Return the time of one score alone, network and all, per image in a batch.

        The trip through the network is timed once for all scores that read the same of it.
        """
        components = self.of(score)
        needs = frozenset[str]().union(*(c.needs for c in components), {"image"})
        if needs not in self._timed:
            self._timed[needs] = best_of_two(
                lambda: next(iter(self.trips(images, rows[: self.batch_size], needs))), self.device
            )
        trip, seconds = self._timed[needs]
        _, own = best_of_two(
            lambda: [component.compute(trip) for component in components], self.device
        )
        return 1000 * (seconds + own) / batch_of(trip)

    def save(self, files: FittedFiles) -> None:
        """Write the state of every fitted component to a file of its own, in the same folder.

        Of a component that ``files`` has, the state is read from there, and nothing is written.
        """
        make_folder(files.folder)
        for component in self.components.values():
            if component.stem in files.names:
                component.load(files)
            else:
                files |= component.save(files.folder)
        self.files = files

    def load(self, files: FittedFiles, standards: Mapping[str, Standard] | None = None) -> None:
        """Read the state of every fitted component, and take ``standards`` where they are given."""
        for component in self.components.values():
            component.load(files)
        self.files = files
        self.standards = self.standards if standards is None else dict(standards)

    def files_of(self, score: NamedScore) -> list[str]:
        """Return the names of the files that `save` wrote, or `load` read, of one score."""
        stems = (component.stem for component in self.of(score))
        return sorted({self.files.names[stem] for stem in stems if stem in self.files.names})
