"""Distance of patches to the nearest of a memory of training patches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch.nn import functional

from anokit.errors import DataError
from anokit.nn import Detector, PatchScore
from anokit_memory.choosing import k_centre, projected, weights
from anokit_memory.exact import tree_mean, unit
from anokit_memory.nearest import NearestRows
from anokit_memory.room import make_room

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_memory.neighbour_components import Metric, PatchKNNOptions


class PatchMemory(Detector):
    """Mean distance to the k nearest remembered patches, times the weight of the nearest.

    Parameters
    ----------
    options
        Of the score.
    """

    memory: Tensor
    """``[M, D]``: the patches, at their own length"""
    weights: Tensor
    """``[M]`` ≥ 0: what the distance to a patch is multiplied by"""

    def __init__(self, options: PatchKNNOptions) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("memory", torch.empty(0, 0))
        self.register_buffer("weights", torch.empty(0))
        self._searches: dict[Metric, tuple[Tensor, int, NearestRows]] = {}

    def fit(self, rows: Tensor) -> None:
        """Remember some of the candidates ``[N, D]``, all at weight 1."""
        self.keep(rows, torch.ones(len(rows), device=rows.device))

    def keep(self, rows: Tensor, weights: Tensor) -> None:
        """Remember some of the candidates ``[N, D]`` with their weights ``[N]``.

        Raises
        ------
        DataError
            Where there are fewer than k.
        """
        given = self.options
        chosen = torch.arange(len(rows), device=rows.device)
        if given.memory == "k-centre":
            compared = unit(rows) if given.metric == "cosine" else rows
            chosen = k_centre(compared, given.memory_size, given.seed)
        if len(chosen) < given.k:
            lower = "set k lower, or " if len(chosen) else ""
            more = "memory_size higher, or " if lower and len(chosen) < len(rows) else ""
            raise DataError(
                f"score 'patch-knn': expected at least k = {given.k} training patches to remember, "
                f"got {len(chosen)}: {lower}{more}add images"
            )
        self.memory, self.weights = rows[chosen].contiguous(), weights[chosen]

    def forward(self, rows: Tensor) -> Tensor:
        """Return the distance by ``metric``: ``[R, D] -> [R]``, ≥ 0."""
        return self._judge(rows, self.options.metric)

    def for_map(self, rows: Tensor) -> Tensor:
        """Return the distance by ``map_metric``: ``[R, D] -> [R]``, ≥ 0."""
        return self._judge(rows, self.options.map_metric)

    def _judge(self, rows: Tensor, metric: Metric) -> Tensor:
        asked = unit(rows) if metric == "cosine" else rows
        places, squares = self._search(metric).nearest(asked, self.options.k)
        distances = tree_mean(squares / 2 if metric == "cosine" else squares.sqrt())
        return (distances * self.weights[places[:, 0]].to(distances)).to(rows)

    def _search(self, metric: Metric) -> NearestRows:
        memory, known = self.memory, self._searches.get(metric)
        if known is None or known[0] is not memory or known[1] != memory._version:
            rows = unit(memory) if metric == "cosine" else memory
            known = (memory, memory._version, NearestRows(rows))
            self._searches[metric] = known
        return known[2]


class PatchMemoryScore(PatchScore):
    """`PatchMemory` on feature maps, whose map may have a metric of its own.

    Parameters
    ----------
    options
        Of the score.
    """

    def __init__(self, options: PatchKNNOptions) -> None:
        super().__init__(PatchMemory(options), "patch-knn", options)
        self.options = options
        if options.memory == "random":
            self.max_patches = options.memory_size

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Remember patches of the training images.

        Raises
        ------
        DataError
            Where there are too few images or patches, or where what is to be kept does not fit
            into memory.
        """
        if self.options.weighting == "off":
            super().fit(self._with_room(trips))
        else:
            self._fit_weighed(trips)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the scores of the positions, resized bilinearly to the image: ``[B, H, W]``."""
        patches = self.read(trip)
        values = self.judge(self.rows(trip), cast("PatchMemory", self.detector).for_map)
        grid = values.reshape(len(patches), 1, *patches.shape[-2:])
        size = trip.image.shape[-2:]
        if grid.shape[-2:] == size:
            return grid[:, 0]
        return functional.interpolate(grid, size, mode="bilinear", align_corners=False)[:, 0]

    def _with_room(self, trips: Iterable[RoundTrip]) -> Iterator[RoundTrip]:
        for number, trip in enumerate(trips):
            if not number:
                self._check_room(trip)
            yield trip

    def _check_room(self, trip: RoundTrip) -> None:
        patches = self.read(trip)
        width, positions = patches.shape[1], patches.shape[2] * patches.shape[3]
        count = min(self.max_patches, self.max_fit_images * positions)
        make_room(
            4 * count * width * 3,  # itself, and what both searches keep
            patches.device,
            f"score 'patch-knn': a memory of up to {count} patches of {width} values",
            "set memory_size or max_patches lower",
        )

    def _fit_weighed(self, trips: Iterable[RoundTrip]) -> None:
        """Weigh all patches, by short projections; then walk again for those that are chosen."""
        short, positions = self._projected(self._with_room(trips))
        odd = self._weights(short, positions)
        limit = np.quantile(odd[np.isfinite(odd)], 1 - self.options.drop)
        allowed = np.nonzero(odd <= limit)[0]
        source = np.random.Generator(np.random.PCG64(self.seed))
        if len(allowed) > self.max_patches:
            allowed = np.sort(source.choice(allowed, self.max_patches, replace=False))
        found, start = [], 0
        for trip in trips:
            rows = self.rows(trip)
            inside = allowed[(allowed >= start) & (allowed < start + len(rows))] - start
            found.append(rows[torch.from_numpy(inside).to(rows.device)])
            start += len(rows)
        kept = torch.cat(found)
        value = torch.from_numpy(odd[allowed]).to(kept) if self.options.soft else kept[:, 0] * 0 + 1
        cast("PatchMemory", self.detector).keep(kept, value.clamp(min=0))
        self.width = torch.tensor([kept.shape[1]], device=kept.device)

    def _projected(self, trips: Iterable[RoundTrip]) -> tuple[Tensor, int]:
        """Return all patches ``[N·P, d]``, projected, and P."""
        parts: list[Tensor] = []
        sizes: set[int] = set()
        for trip in trips:
            rows = self.rows(trip)
            parts.append(projected(rows, self.seed))
            sizes.add(len(rows) // len(self.read(trip)))
            make_room(
                sum(part.nbytes for part in parts),  # once more, to join them
                rows.device,
                f"score 'patch-knn': weighing the patches of "
                f"{sum(map(len, parts)) // max(sizes)} images",
                "set max_fit_images lower, or weighting = 'off'",
            )
        if not parts:
            raise DataError(
                "score 'patch-knn' is fitted to training images: expected some, got none"
            )
        return torch.cat(parts), sizes.pop()

    def _weights(self, short: Tensor, positions: int) -> np.ndarray:
        """Return how odd each patch is, ``[N·P]``; infinite for one that was not compared."""
        given = self.options
        how = given.weighting
        assert how != "off"
        odd = np.full(len(short), np.inf)
        if given.aligned:
            groups = [np.arange(p, len(short), positions) for p in range(positions)]
        else:
            source = np.random.Generator(np.random.PCG64(self.seed))
            most = min(len(short), given.max_patches)
            groups = [np.sort(source.choice(len(short), most, replace=False))]
        least = given.weighting_k + 1 if how == "lof" else 2
        if len(groups[0]) < least:
            raise DataError(
                f"score 'patch-knn': weighting = '{how}' expected at least {least} training "
                f"{'images' if given.aligned else 'patches'}, got {len(groups[0])}: add some, or "
                "set weighting = 'off'"
            )
        for group in groups:
            members = short[torch.from_numpy(group).to(short.device)]
            odd[group] = weights(members, how, given.weighting_k).cpu().numpy()
        return odd


def patch_knn(options: PatchKNNOptions) -> PatchMemoryScore:
    """Return the score ``patch-knn``."""
    return PatchMemoryScore(options)
