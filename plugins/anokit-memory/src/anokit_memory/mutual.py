"""Patches against those of the training images that are most alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from anokit.errors import DataError
from anokit.nn import Detector, PatchScore
from anokit_memory.exact import tree_mean, unit
from anokit_memory.nearest import NearestRows

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_memory.neighbour_components import Metric, MutualOptions


class MutualPatches(Detector):
    """Mean of the smallest distances of a patch to single reference images.

    The distance to an image is that to its nearest patch. The mean is over the ``share`` of the
    references that are nearest (rounded up), so that what a normal patch has in common with normal
    images counts, and what it has not in common with anomalous ones does not.

    Parameters
    ----------
    name
        Of the score, for messages.
    share
        In (0, 1].
    metric
        ``"cosine"`` or ``"euclidean"``.
    """

    memory: Tensor
    """``[M, P, D]``: the patches of M reference images"""
    places: Tensor
    """int64 ``[M]``: places of these images in fitting order"""

    def __init__(self, name: str, share: float, metric: Metric) -> None:
        super().__init__()
        self.name = name
        self.share = share
        self.metric = metric
        self.register_buffer("memory", torch.empty(0, 0, 0))
        self.register_buffer("places", torch.empty(0, dtype=torch.int64))
        self._searches: tuple[Tensor, int, list[NearestRows]] | None = None

    def fit(self, rows: Tensor) -> None:
        """Take ``[P, D]`` as the patches of one reference image."""
        self.keep(rows[None], torch.zeros(1, dtype=torch.int64, device=rows.device))

    def keep(self, patches: Tensor, places: Tensor) -> None:
        """Take reference images ``[M, P, D]`` and their places ``[M]`` in fitting order."""
        flat = patches.flatten(0, 1)
        self.memory = (unit(flat) if self.metric == "cosine" else flat).reshape(patches.shape)
        self.places = places

    def forward(self, rows: Tensor) -> Tensor:
        """Return the mean of the smallest distances: ``[R, D] -> [R]``, ≥ 0."""
        return self._mean(self._distances(rows), len(self.memory)).to(rows)

    def leave_one_out(self, rows: Tensor, places: Tensor) -> Tensor:
        """Return the same without one image for each row: ``[R, D], [R] -> [R]``.

        ``places``: int64, of the images that the rows come from, in fitting order. Where an image
        is no reference its rows have their plain score.

        Raises
        ------
        DataError
            Where it is the only reference.
        """
        own = places.to(self.places.device)[:, None] == self.places
        if len(self.memory) == 1 and bool(own.any()):
            raise DataError(
                f"score '{self.name}': to leave an image out, expected two or more reference "
                "images, got 1: it takes two training images, and references of at least 2"
            )
        distances = self._distances(rows)
        plain = self._mean(distances, len(self.memory))
        distances[own.to(distances.device)] = torch.inf
        left = own.any(dim=1).to(distances.device)
        without = self._mean(distances, max(1, len(self.memory) - 1))
        return torch.where(left, without, plain).to(rows)

    def _distances(self, rows: Tensor) -> Tensor:
        """Return distances to each reference image: ``[R, M]`` float64."""
        if self.metric == "cosine":
            rows = unit(rows)
        squares = torch.cat([search.nearest(rows, 1)[1] for search in self.searches], dim=1)
        return squares / 2 if self.metric == "cosine" else squares.sqrt()

    def _mean(self, distances: Tensor, count: int) -> Tensor:
        least = distances.topk(math.ceil(self.share * count), dim=1, largest=False, sorted=True)
        return tree_mean(least.values)

    @property
    def searches(self) -> list[NearestRows]:
        """Return a search for each reference image; made anew only where the memory changed."""
        memory, known = self.memory, self._searches
        if known is None or known[0] is not memory or known[1] != memory._version:
            known = (memory, memory._version, [NearestRows(patches) for patches in memory])
            self._searches = known
        return known[2]


class MutualScore(PatchScore):
    """`MutualPatches` on feature maps: the largest of an image's positions, and a map.

    Parameters
    ----------
    options
        Of the score.
    """

    def __init__(self, options: MutualOptions) -> None:
        super().__init__(MutualPatches("mutual", options.share, options.metric), "mutual", options)
        self.references = options.references

    @property
    def leave_one_out(self) -> Callable[[RoundTrip, Tensor], Tensor]:
        """Return what scores fitted images, each dropped where it is a reference."""
        return self._left_out

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Keep the patches of a seeded subset of the training images.

        Raises
        ------
        DataError
            Where there is no image, or where the patches of one are more than ``max_patches``.
        """
        source = np.random.Generator(np.random.PCG64(self.seed))
        keys, kept, places, seen = np.empty(0), torch.empty(0), np.empty(0, dtype=np.int64), 0
        for trip in trips:
            patches = self.read(trip).flatten(2).movedim(1, -1)
            count, positions = patches.shape[:2]
            most = min(self.references, self.max_patches // positions)
            if most < 1:
                raise DataError(
                    f"score '{self.name}': an image has {positions} patches, expected at most "
                    f"max_patches = {self.max_patches}: set it higher"
                )
            kept = torch.cat([kept, patches]) if len(kept) else patches
            keys = np.concatenate([keys, source.random(count)])
            places = np.concatenate([places, np.arange(seen, seen + count)])
            seen += count
            if len(keys) > most:  # those with the smallest keys stay, in their order
                stay = np.sort(np.argsort(keys, kind="stable")[:most])
                keys, places = keys[stay], places[stay]
                kept = kept[torch.from_numpy(stay).to(kept.device)]
        if not seen:
            raise DataError(
                f"score '{self.name}' is fitted to training images: expected some, got none"
            )
        detector = cast("MutualPatches", self.detector)
        detector.keep(kept.contiguous(), torch.from_numpy(places).to(kept.device))
        self.width = torch.tensor([kept.shape[-1]], device=kept.device)

    def _left_out(self, trip: RoundTrip, places: Tensor) -> Tensor:
        detector = cast("MutualPatches", self.detector)
        rows = self.rows(trip)
        each = places.repeat_interleave(len(rows) // len(places))
        values = self.judge(rows, lambda rows: detector.leave_one_out(rows, each))
        values = values.reshape(len(places), -1)
        return values.amax(dim=1) if self.patch_score == "max" else values.mean(dim=1)


def mutual(options: MutualOptions) -> MutualScore:
    """Return the score ``mutual``."""
    return MutualScore(options)
