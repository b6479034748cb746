"""Round trips of stored images in a given order, and a memory of those already made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.datasets import ImageTable
from anokit.feed import to_float
from anokit.models import Model
from anokit.types import ROUND_TRIP_FIELDS, RoundTrip

MEMORY_BYTES = 2**30
"""Most that a `TripMemory` holds."""

Rows = npt.NDArray[np.int64]
Advance = Callable[[float], None]
"""Takes images that were just done; parts of one where a single trip is long."""


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Compute without gradients and without TF32, whatever training had set."""
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


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
        model: Model | None,
        images: ImageTable,
        rows: Rows,
        needs: frozenset[str],
        batch_size: int,
        device: torch.device,
        advance: Advance | None = None,
        memory: TripMemory | None = None,
    ) -> None:
        self.model = model
        self.images = images
        self.rows = rows
        self.needs = needs
        self.batch_size = batch_size
        self.device = device
        self.advance = advance
        self.memory = memory

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[RoundTrip]:
        for start in range(0, len(self.rows), self.batch_size):
            rows = self.rows[start : start + self.batch_size]
            meter = TripMeter(len(rows), self.advance) if self.advance else None
            images = to_float(self.images.read(rows).to(self.device))
            yield self._remembered(rows, images, meter) or self._made(images, self.needs, meter)
            if meter:
                meter.finish()

    def _made(self, images: Tensor, needs: frozenset[str], meter: TripMeter | None) -> RoundTrip:
        with exact_arithmetic():
            if self.model:
                return self.model.round_trip(images, needs, meter)
            return RoundTrip(image=images)

    def _remembered(self, rows: Rows, images: Tensor, meter: TripMeter | None) -> RoundTrip | None:
        memory = self.memory
        if memory is None or not memory.has_room(self.needs):
            return None
        missing = memory.missing(rows, self.needs)
        if missing.any():
            new = self._made(images[torch.from_numpy(missing)], self.needs, meter)
            if not memory.keep(rows[missing], new, self.needs):
                return new if missing.all() else None
        return memory.recall(rows, images, self.needs)


class TripMemory:
    """Fields of the round trips of one set of images, so that no image makes a trip twice.

    Several scores are fitted on the same images, and twice: without those held out for thresholds,
    and on all. What they read is kept in main memory, field by field, while all of it takes at most
    `MEMORY_BYTES`. ``image`` is not kept: it is read anew each time.

    Parameters
    ----------
    count
        Number of images.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.room = MEMORY_BYTES
        self.fields: dict[str, Tensor] = {}
        self.known: dict[str, npt.NDArray[np.bool_]] = {}
        self.refused: set[str] = set()

    def has_room(self, needs: frozenset[str]) -> bool:
        """Return whether trips with these fields may be kept, and are worth it."""
        return bool(needs - {"image"}) and not needs & self.refused

    def missing(self, rows: Rows, needs: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Return which of ``rows`` lack one of the fields."""
        nothing = np.zeros(self.count, dtype=bool)
        known = [self.known.get(name, nothing)[rows] for name in needs - {"image"}]
        return ~np.logical_and.reduce(known)

    def keep(self, rows: Rows, trip: RoundTrip, needs: frozenset[str]) -> bool:
        """Keep these fields of the images at ``rows``; return False where there is no room."""
        places = torch.from_numpy(rows)
        for name in sorted(needs - {"image"}):
            value = cast("Tensor", trip.get(name)).cpu()
            if name not in self.fields and not self._make_room(name, value):
                return False
            self.fields[name][places] = value
            self.known[name][rows] = True
        return True

    def _make_room(self, name: str, value: Tensor) -> bool:
        needed = value[0].numel() * value.element_size() * self.count
        if needed > self.room:
            self.refused.add(name)
            return False
        self.room -= needed
        self.fields[name] = value.new_empty((self.count, *value.shape[1:]))
        self.known[name] = np.zeros(self.count, dtype=bool)
        return True

    def recall(self, rows: Rows, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Return the trips of the images at ``rows``, on the device of ``images``."""
        places = torch.from_numpy(rows)
        fields = {
            name: images if name == "image" else self.fields[name][places].to(images.device)
            for name in needs
        }
        own = {name: fields.pop(name) for name in ROUND_TRIP_FIELDS if name in fields}
        return RoundTrip(**own, extra=fields)
