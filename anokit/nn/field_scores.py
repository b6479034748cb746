"""Fitted scores over one field of the round trip.

A `Detector` learns from rows and scores rows; `field_score` makes a score of it, which reads the
field, checks it, and makes maps where the field is a feature map. A detector never meets round
trips, batches, maps or files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from anokit.errors import DataError, PluginError
from anokit.nn.fields import FieldOptions, map_of_grid, read_field
from anokit.types import RoundTrip

__all__ = ["Detector", "FieldScore", "PatchScore", "field_score"]


class Detector(nn.Module, ABC):
    """Base of what judges rows. Its state is buffers, registered empty in the constructor.

    One that can judge a row that it was fitted on as if it had not been there has a method
    ``leave_one_out(rows, places) -> [R]``: ``rows`` ``[R, D]`` are those at ``places`` (int64
    ``[R]``) of what `fit` was given. One whose fit chooses something by itself, such as a
    bandwidth, has a method ``refit(rows)``, which keeps what it chose last. One whose fit may be
    too poor to rely on has a method ``warnings() -> list of sentences``.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import Detector
    >>> class FromMean(Detector):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.register_buffer("mean", torch.empty(0))
    ...
    ...     def fit(self, rows):
    ...         self.mean = rows.mean(dim=0)
    ...
    ...     def forward(self, rows):
    ...         return (rows - self.mean).norm(dim=1)
    >>> detector = FromMean()
    >>> detector.fit(torch.zeros(10, 4))
    >>> detector(torch.ones(2, 4))
    tensor([2., 2.])
    """

    @abstractmethod
    def fit(self, rows: Tensor) -> None:
        """Learn from the rows of training images, ``[N, D]`` float32, N ≥ 1."""

    @abstractmethod
    def forward(self, rows: Tensor) -> Tensor:
        """Return ``[R, D] -> [R]``, higher = more anomalous; no row depends on the others."""


def field_score(detector: Detector, name: str, options: FieldOptions) -> FieldScore:
    """Return a score by ``detector`` on ``options.on``: a `PatchScore` for ``"patches"``.

    Examples
    --------
    >>> from anokit.nn import Detector, field_score
    >>> from anokit.plugin import FittedOptions
    >>> from anokit.testing import random_trip
    >>> class Length(Detector):
    ...     def fit(self, rows):
    ...         pass
    ...
    ...     def forward(self, rows):
    ...         return rows.norm(dim=1)
    >>> score = field_score(Length(), "length", FittedOptions(on="latent"))
    >>> score.fit([random_trip(10)])
    >>> score(random_trip(4, seed=1)).shape
    torch.Size([4])
    """
    score = PatchScore if options.on == "patches" else FieldScore
    return score(detector, name, options)


class FieldScore(nn.Module):
    """A score whose detector sees one row per image: the field, flattened.

    Parameters
    ----------
    detector
        What judges the rows.
    name
        Public name of the score, for messages.
    options
        Which field is read, and on how many images the score is fitted.

    Examples
    --------
    >>> from anokit.nn import Detector, FieldScore
    >>> from anokit.plugin import FittedOptions
    >>> from anokit.testing import random_trip
    >>> class Length(Detector):
    ...     def fit(self, rows):
    ...         pass
    ...
    ...     def forward(self, rows):
    ...         return rows.norm(dim=1)
    >>> score = FieldScore(Length(), "length", FittedOptions(on="image"))
    >>> score.rows(random_trip(4)).shape
    torch.Size([4, 768])
    """

    width: Tensor
    """int64 ``[1]``: D of the rows that it was fitted to; ``[0]`` before"""

    def __init__(self, detector: Detector, name: str, options: FieldOptions) -> None:
        super().__init__()
        self.detector = detector
        self.name = name
        self.on = options.on
        self.max_fit_images = options.max_fit_images
        self.register_buffer("width", torch.empty(0, dtype=torch.int64))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Fit the detector to the rows of all training images.

        Raises
        ------
        DataError
            Where there is no training image, or too few for the detector.
        """
        self._learn(self._gathered(trips), self.detector.fit)

    @property
    def refit(self) -> Callable[[Iterable[RoundTrip]], None]:
        """Return what fits to some of the images, with what the detector chose last kept.

        There is none (an `AttributeError`) where the detector has none.
        """
        learn = cast("Callable[[Tensor], None]", self.detector.refit)
        return lambda trips: self._learn(self._gathered(trips), learn)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return one score per image: the field ``[B, ...] -> [B]``."""
        return self.judge(self.rows(trip))

    @property
    def leave_one_out(self) -> Callable[[RoundTrip, Tensor], Tensor]:
        """Return what scores fitted images as if each had been left out: ``(trip, places) -> [B]``.

        There is none (an `AttributeError`) where the detector has none.
        """
        judge = cast("Callable[[Tensor, Tensor], Tensor]", self.detector.leave_one_out)
        return lambda trip, places: self.judge(self.rows(trip), lambda rows: judge(rows, places))

    def warnings(self) -> list[str]:
        """Return what the detector says about its fit, a sentence each; most say nothing."""
        notice = getattr(self.detector, "warnings", None)
        return list(notice()) if notice else []

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
        return read_field(trip, self.on, self.name)

    def judge(self, rows: Tensor, by: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the detector's scores ``[R, D] -> [R]`` float32; ``by`` another method of it.

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
        return (by or self.detector)(rows).float()

    def _gathered(self, trips: Iterable[RoundTrip]) -> Tensor:
        parts = [self.rows(trip) for trip in trips]
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def _learn(self, rows: Tensor, learn: Callable[[Tensor], None]) -> None:
        if not len(rows):
            raise DataError(
                f"score '{self.name}' is fitted to training images: expected some, got none"
            )
        learn(rows)
        self.width = torch.tensor([rows.shape[1]], device=rows.device)


class PatchScore(FieldScore):
    """A score whose detector sees one row per position of a feature map, and so has a map.

    It has no ``leave_one_out``: the detector does not know which image a position came from.

    Fitting keeps a seeded subset of the positions of all training images, at most ``max_patches``,
    drawn while they stream by; the choice does not depend on how images are batched.

    Parameters
    ----------
    detector, name
        As of `FieldScore`.
    options
        All of `FieldOptions` counts.
    prepare
        Makes the feature map ``[B, F, h, w]`` of the field where that is not one itself.

    Examples
    --------
    >>> from anokit.nn import Detector, PatchScore
    >>> from anokit.plugin import FittedOptions
    >>> from anokit.testing import random_trip
    >>> class Length(Detector):
    ...     def fit(self, rows):
    ...         pass
    ...
    ...     def forward(self, rows):
    ...         return rows.norm(dim=1)
    >>> score = PatchScore(Length(), "length", FittedOptions(on="patches"))
    >>> score.fit([random_trip(10)])
    >>> score.map(random_trip(4, seed=1)).shape
    torch.Size([4, 16, 16])
    """

    def __init__(
        self,
        detector: Detector,
        name: str,
        options: FieldOptions,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(detector, name, options)
        self.patch_score = options.patch_score
        self.max_patches = options.max_patches
        self.seed = options.seed
        self.prepare = prepare

    @property
    def leave_one_out(self) -> Callable[[RoundTrip, Tensor], Tensor]:
        """Say that there is none."""
        raise AttributeError("leave_one_out")

    def _gathered(self, trips: Iterable[RoundTrip]) -> Tensor:
        """Return a seeded subset of the positions of all images."""
        source = np.random.Generator(np.random.PCG64(self.seed))
        keys, kept = np.empty(0), torch.empty(0, 0)
        for trip in trips:
            rows = self.rows(trip)
            kept = torch.cat([kept, rows]) if len(kept) else rows
            keys = np.concatenate([keys, source.random(len(rows))])
            if len(keys) > self.max_patches:  # those with the smallest keys stay, in their order
                stay = np.sort(np.argpartition(keys, self.max_patches)[: self.max_patches])
                keys, kept = keys[stay], kept[torch.from_numpy(stay).to(kept.device)]
        return kept

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return the largest (or the mean) score of an image's positions: ``[B]``."""
        values = self._grid(trip).flatten(1)
        return values.amax(dim=1) if self.patch_score == "max" else values.mean(dim=1)

    def map(self, trip: RoundTrip) -> Tensor:
        """Return the scores of the positions, resized bilinearly to the image: ``[B, H, W]``."""
        return map_of_grid(self._grid(trip), trip, self.name)

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
