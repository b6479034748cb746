"""Fitted scores over one field of the round trip: a detector sees rows, this module the rest.

A *detector* is an ``nn.Module`` with two methods and buffers as its state::

    fit(rows)      [N, D] float32, learn from the rows of training images
    forward(rows)  [R, D] -> [R], higher = more anomalous; no row depends on the others

`field_score` makes a score of it. The detector never meets round trips, batches, maps or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anokit.errors import DataError, PluginError
from anokit.types import RoundTrip

__all__ = ["FieldScore", "PatchScore", "field_score"]

Field = Literal["features", "latent", "patches", "image"]
LAYOUTS: dict[str, str] = {
    "features": "[B, F]",
    "latent": "[B, Z]",
    "patches": "[B, F, h, w]",
    "image": "[B, C, H, W]",
}


def field_score(
    detector: nn.Module,
    *,
    name: str,
    on: Field,
    max_fit_images: int,
    reduction: Literal["max", "mean"] = "max",
    max_patches: int = 20_000,
    seed: int = 0,
) -> FieldScore:
    """Return a score by ``detector`` on the field ``on``: a `PatchScore` for ``"patches"``."""
    if on == "patches":
        return PatchScore(
            detector,
            name=name,
            on=on,
            max_fit_images=max_fit_images,
            reduction=reduction,
            max_patches=max_patches,
            seed=seed,
        )
    return FieldScore(detector, name=name, on=on, max_fit_images=max_fit_images)


class FieldScore(nn.Module):
    """A score whose detector sees one row per image: the field, flattened.

    Parameters
    ----------
    detector
        See the head of this module. Its buffers are the state, registered empty.
    name
        Public name of the score, for messages.
    on
        The round-trip field that is read.
    max_fit_images
        Most training images that the score is fitted on.
    """

    width: Tensor

    def __init__(self, detector: nn.Module, *, name: str, on: Field, max_fit_images: int) -> None:
        super().__init__()
        self.detector = detector
        self.name = name
        self.on = on
        self.max_fit_images = max_fit_images
        self.register_buffer("width", torch.empty(0, dtype=torch.int64))  # D of the fitted rows

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Fit the detector to the rows of all training images.

        Raises
        ------
        DataError
            Where there is no training image, or too few for the detector.
        """
        parts = [self.rows(trip) for trip in trips]
        self._learn(torch.cat(parts) if parts else torch.empty(0, 0))

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return one score per image: the field ``[B, ...] -> [B]``."""
        return self.judge(self.rows(trip))

    def rows(self, trip: RoundTrip) -> Tensor:
        """Return what the detector sees of a trip: ``[B, ...] -> [B, D]`` float32."""
        return self.read(trip).flatten(1)

    def read(self, trip: RoundTrip) -> Tensor:
        """Return the field as float32, its layout checked.

        Raises
        ------
        PluginError
            Where it is unfilled or of another layout: the backbone does not keep its contract.
        """
        value, layout = trip.get(self.on), LAYOUTS[self.on]
        if value is None:
            raise PluginError(
                f"score '{self.name}' reads {self.on} {layout}, which the backbone left unfilled: "
                f"got {', '.join(sorted(trip.filled())) or 'an empty round trip'}"
            )
        if value.ndim != layout.count(",") + 1:
            raise PluginError(
                f"score '{self.name}': {self.on} expected {layout}, got {list(value.shape)}"
            )
        return value.float()

    def judge(self, rows: Tensor) -> Tensor:
        """Return the detector's scores ``[R, D] -> [R]`` float32.

        Raises
        ------
        PluginError
            Where the score is not fitted, or was fitted to rows of another width.
        """
        if not self.width.numel():
            raise PluginError(
                f"score '{self.name}' is not fitted: call fit(trips) or load its state first"
            )
        if rows.shape[1] != int(self.width):
            what = "images" if self.on == "image" else self.on
            raise PluginError(
                f"score '{self.name}' was fitted to {what} of {int(self.width)} values, got "
                f"{rows.shape[1]}: score images of the size of the training images"
            )
        return self.detector(rows).float()

    def _learn(self, rows: Tensor) -> None:
        if not len(rows):
            raise DataError(
                f"score '{self.name}' is fitted to training images: expected some, got none"
            )
        self.detector.fit(rows)
        self.width = torch.tensor([rows.shape[1]], device=rows.device)


class PatchScore(FieldScore):
    """A score whose detector sees one row per position of a feature map, and so has a map.

    Fitting keeps a seeded subset of the positions of all training images, at most ``max_patches``,
    drawn while they stream by; the choice does not depend on how images are batched.

    Parameters
    ----------
    reduction
        How the positions of an image become its score: ``"max"`` or ``"mean"``.
    max_patches
        Most positions, of all images together, that the detector is fitted to.
    seed
        Of the subset.
    prepare
        Makes the feature map ``[B, F, h, w]`` of the field where that is not one itself.
    """

    def __init__(
        self,
        detector: nn.Module,
        *,
        name: str,
        on: Field,
        max_fit_images: int,
        reduction: Literal["max", "mean"],
        max_patches: int,
        seed: int,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(detector, name=name, on=on, max_fit_images=max_fit_images)
        self.reduction = reduction
        self.max_patches = max_patches
        self.seed = seed
        self.prepare = prepare

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Fit the detector to a seeded subset of the positions of all training images.

        Raises
        ------
        DataError
            Where there is no training image, or too few positions for the detector.
        """
        source = np.random.Generator(np.random.PCG64(self.seed))
        keys, kept = np.empty(0), torch.empty(0, 0)
        for trip in trips:
            rows = self.rows(trip)
            kept = torch.cat([kept, rows]) if len(kept) else rows
            keys = np.concatenate([keys, source.random(len(rows))])
            if len(keys) > self.max_patches:  # those with the smallest keys stay, in their order
                stay = np.sort(np.argpartition(keys, self.max_patches)[: self.max_patches])
                keys, kept = keys[stay], kept[torch.from_numpy(stay).to(kept.device)]
        self._learn(kept)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the largest (or the mean) score of an image's positions: ``[B]``."""
        values = self._grid(trip).flatten(1)
        return values.amax(dim=1) if self.reduction == "max" else values.mean(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the scores of the positions, resized bilinearly to the image: ``[B, H, W]``."""
        if trip.get("image") is None:
            raise PluginError(f"the map of score '{self.name}' reads image [B, C, H, W], got none")
        grid = self._grid(trip)[:, None]
        size = trip.image.shape[-2:]
        if grid.shape[-2:] == size:
            return grid[:, 0]
        return functional.interpolate(grid, size, mode="bilinear", align_corners=False)[:, 0]

    def rows(self, trip: RoundTrip) -> Tensor:
        """Return every position of a trip: ``[B, F, h, w] -> [B·h·w, F]`` float32."""
        return self._patches(trip).movedim(1, -1).flatten(0, 2)

    def _patches(self, trip: RoundTrip) -> Tensor:
        field = self.read(trip)
        return field if self.prepare is None else self.prepare(field)

    def _grid(self, trip: RoundTrip) -> Tensor:
        patches = self._patches(trip)
        values = self.judge(patches.movedim(1, -1).flatten(0, 2))
        return values.reshape(len(patches), *patches.shape[-2:])
