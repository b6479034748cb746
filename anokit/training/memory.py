"""A memory of round trips already made."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data.sets import Rows
from anokit.training.backbone import GuardedBackbone
from anokit.types import RoundTrip
from anokit.types.models import ROUND_TRIP_FIELDS

MEMORY_BYTES = 2**30
"""Most that a `TripMemory` holds."""


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
        self.wanted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, backbone: GuardedBackbone | None, count: int) -> TripMemory | None:
        """Return a memory of trips through a network; None where there is none that may be kept.

        A trip that depends on its batch is another one each time.
        """
        return None if backbone is None or backbone.batch_dependence else cls(count)

    def want(self, fields: frozenset[str]) -> None:
        """Make and keep these fields too wherever an image makes a trip: all will be asked for."""
        self.wanted = fields

    def has_room(self, needs: frozenset[str]) -> bool:
        """Return whether trips with these fields may be kept, and are worth it."""
        return bool(needs - {"image"}) and not needs & self.refused

    def with_wanted(self, needs: frozenset[str]) -> frozenset[str]:
        """Return ``needs`` and what else is wanted of a trip, as far as there is room."""
        return needs | (self.wanted - self.refused)

    def missing(self, rows: Rows, needs: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Return which of ``rows`` lack one of the fields."""
        nothing = np.zeros(self.count, dtype=bool)
        known = [self.known.get(name, nothing)[rows] for name in needs - {"image"}]
        return ~np.logical_and.reduce(known)

    def keep(self, rows: Rows, trip: RoundTrip, needs: frozenset[str]) -> bool:
        """Keep these fields of the images at ``rows``; return False where one has no room."""
        places = torch.from_numpy(rows)
        kept = True
        for name in sorted(needs - {"image"}):
            value = cast("Tensor", trip.get(name)).cpu()
            if name not in self.fields and not self._make_room(name, value):
                kept = False
                continue
            self.fields[name][places] = value
            self.known[name][rows] = True
        return kept

    def _make_room(self, name: str, value: Tensor) -> bool:
        needed = value[0].numel() * value.element_size() * self.count
        if needed > self.room:
            self.refused.add(name)
            return False
        self.room -= needed
        self.fields[name] = value.new_empty((self.count, *value.shape[1:]))
        self.known[name] = np.zeros(self.count, dtype=bool)
        return True

    def recall(
        self, rows: Rows, images: Tensor | None, needs: frozenset[str], device: torch.device
    ) -> RoundTrip:
        """Return the trips of the images at ``rows`` on ``device``; ``images`` are its field."""
        places = torch.from_numpy(rows)
        fields = {name: self.fields[name][places].to(device) for name in needs - {"image"}}
        own = {name: fields.pop(name) for name in ROUND_TRIP_FIELDS if name in fields}
        if images is not None:
            own["image"] = images
        return RoundTrip(**own, extra=fields)
