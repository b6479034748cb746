"""Round trips of stored images in a given order, and a memory of those already made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        self.memory = memory if memory and needs - {"image"} <= memory.needs else None

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
        if memory is None or memory.full or self.needs <= {"image"}:
            return None
        missing = memory.missing(rows)
        if missing.any():
            new = self._made(images[torch.from_numpy(missing)], memory.needs, meter)
            if not memory.keep(rows[missing], new):
                return None
        return memory.recall(rows, images, self.needs)


class TripMemory:
    """Fields of the round trips of one set of images, so that each image makes its trip once.

    Several scores are fitted on the same images, and twice: without those held out for thresholds,
    and on all. What they read is kept in main memory where it takes at most `MEMORY_BYTES`.

    Parameters
    ----------
    needs
        Every field that will be asked for; ``image`` is read anew each time.
    count
        Number of images.
    """

    def __init__(self, needs: frozenset[str], count: int) -> None:
        self.needs = needs - {"image"}
        self.known = np.zeros(count, dtype=bool)
        self.fields: dict[str, Tensor] = {}
        self.full = False

    def missing(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return which of ``rows`` have not been kept."""
        return ~self.known[rows]

    def keep(self, rows: Rows, trip: RoundTrip) -> bool:
        """Keep the trips of the images at ``rows``; return False where there is no room."""
        found = {name: value for name in self.needs if (value := trip.get(name)) is not None}
        if not self.fields and not self.full:
            size = sum(value[0].numel() * value.element_size() for value in found.values())
            self.full = size * len(self.known) > MEMORY_BYTES
            if not self.full:
                self.fields = {
                    name: value.new_empty((len(self.known), *value.shape[1:]), device="cpu")
                    for name, value in found.items()
                }
        if self.full:
            return False
        for name, value in found.items():
            self.fields[name][torch.from_numpy(rows)] = value.cpu()
        self.known[rows] = True
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
