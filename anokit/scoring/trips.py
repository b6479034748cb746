"""Round trips of stored images in a given order, and a memory of those already made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from anokit.data.pixels import to_float
from anokit.data.sets import ImageTable, Rows
from anokit.errors import AnokitError
from anokit.training.backbone import GuardedBackbone
from anokit.training.memory import TripMemory
from anokit.types import RoundTrip
from anokit.watching import Advance


class TripMeter:
    """Turns shares of one batch's trip into images for a progress display."""

    def __init__(self, count: int, advance: Advance) -> None:
        self.left: float = count
        self.count = count
        self.advance = advance

    def __call__(self, share: float) -> None:
        """Note that a share in [0, 1] of the trip was just made."""
        part = min(share * self.count, self.left)
        self.left -= part
        self.advance(part)

    def finish(self) -> None:
        """Note that the trip is over, whatever was noted before."""
        self.advance(self.left)


class Trips:
    """Round trips of images in a given order: what a score is fitted on. May be iterated again."""

    def __init__(
        self,
        backbone: GuardedBackbone | None,
        images: ImageTable,
        rows: Rows,
        needs: frozenset[str],
        batch_size: int,
        device: torch.device,
        advance: Advance | None = None,
        memory: TripMemory | None = None,
    ) -> None:
        self.backbone = backbone
        self.images = images
        self.rows = rows
        self.needs = needs
        self.batch_size = batch_size
        self.device = device
        self.advance = advance
        self.told = 0.0
        """images that ``advance`` was told of: a second walk through them tells nothing again"""
        self.memory = memory
        self.lent: Callable[[RoundTrip], AbstractContextManager[None]] = lambda _: nullcontext()
        """the context in which others read a trip"""

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[RoundTrip]:
        advance = self._advancing()
        for start in range(0, len(self.rows), self.batch_size):
            rows = self.rows[start : start + self.batch_size]
            meter = TripMeter(len(rows), advance) if advance else None
            try:
                trip = self._remembered(rows, meter) or self._made(
                    self._read(rows), self.needs, meter
                )
            except AnokitError as error:
                error.score_key = ""  # no fault of who reads trips
                raise
            with self.lent(trip):
                yield trip
            if meter:
                meter.finish()

    def _advancing(self) -> Advance | None:
        """Return what tells of one walk, as far as it goes beyond those before."""
        advance, done = self.advance, 0.0
        if advance is None:
            return None

        def further(count: float) -> None:
            nonlocal done
            done += count
            if done > self.told:
                advance(done - self.told)
                self.told = done

        return further

    def _read(self, rows: Rows) -> Tensor:
        return to_float(self.images.read(rows).to(self.device))

    def _made(self, images: Tensor, needs: frozenset[str], meter: TripMeter | None) -> RoundTrip:
        if self.backbone:
            return self.backbone.round_trip(images, needs, meter)
        return RoundTrip(image=images)

    def _remembered(self, rows: Rows, meter: TripMeter | None) -> RoundTrip | None:
        """Return the trip of what is remembered and made now; None where it is not kept.

        Images that nobody asks for are not read again: they may have to be decoded for it.
        """
        memory = self.memory
        if memory is None or not memory.has_room(self.needs):
            return None
        images = self._read(rows) if "image" in self.needs else None
        missing = memory.missing(rows, self.needs)
        if missing.any():
            fields = memory.with_wanted(self.needs)
            seen = (
                self._read(rows[missing]) if images is None else images[torch.from_numpy(missing)]
            )
            new = self._made(seen, fields, meter)
            memory.keep(rows[missing], new, fields)
            if not memory.has_room(self.needs):
                return new if missing.all() else None
        return memory.recall(rows, images, self.needs, self.device)
