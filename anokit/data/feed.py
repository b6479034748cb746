"""Training images in a seeded order, as networks want them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anokit.data import seeded_order
from anokit.data.pixels import downscale, to_float
from anokit.data.sets import ImageTable, Rows, all_rows

RESIDENT_SHARE = 0.25
"""A training set stays on the GPU as uint8 where it takes at most this share of its free memory."""


class Feed:
    """An endless stream of training batches; place n of it depends on the seed and n alone.

    It shows the images at ``rows``, all of them where that is None; its length is their number.

    One permutation of the training set follows another, so a batch may span two. Once it is
    restricted to some of the images, it depends on these and on the place where that began, too.
    Reading ahead runs in one thread; where the set fits on the GPU it is kept there as uint8.
    """

    def __init__(
        self, images: ImageTable, device: torch.device, seed: int, rows: Rows | None = None
    ) -> None:
        self.images = images
        self.device = device
        self.seed = seed
        self.among = all_rows(len(images)) if rows is None else rows
        """the images that may be shown at all"""
        self.rows = self.among
        self._since: int | None = None
        self._order = lru_cache(maxsize=2)(self._make_order)
        self._resident: Tensor | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._next: tuple[tuple[int, int], Future[tuple[Tensor, npt.NDArray[np.int64]]]] | None = (
            None
        )
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if images.nbytes <= RESIDENT_SHARE * free:
                self._resident = _upload(images, device)
            else:
                self._pool = ThreadPoolExecutor(1, "anokit-feed")

    def __len__(self) -> int:
        return len(self.among)

    def restrict(self, rows: Rows, place: int) -> None:
        """From ``place`` of the stream on, show of the images at ``rows`` those that may be."""
        self.rows, self._since, self._next = np.intersect1d(rows, self.among), place, None
        self._order.cache_clear()

    def indices(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Return the training images at places ``start … start + count`` of the stream."""
        size = len(self.rows)
        places = np.arange(start, start + count) - (self._since or 0)
        epochs = places // size
        found = np.empty(count, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            found[here] = self.rows[self._order(epoch)[places[here] % size]]
        return found

    def batch(self, start: int, count: int, resolution: int | None) -> tuple[Tensor, Tensor]:
        """Return float32 images ``[count, C, h, w]`` on the device and their indices."""
        if self._resident is not None:
            indices = torch.from_numpy(self.indices(start, count))
            images = self._resident[indices.to(self.device)]
        else:
            raw, places = self._read_ahead(start, count)
            images = raw.to(self.device, non_blocking=True)
            indices = torch.from_numpy(places)
        return downscale(to_float(images), resolution), indices

    def _make_order(self, epoch: int) -> npt.NDArray[np.int64]:
        since = [] if self._since is None else [self._since]
        return seeded_order(len(self.rows), self.seed, "epoch", *since, epoch)

    def _read(self, start: int, count: int) -> tuple[Tensor, npt.NDArray[np.int64]]:
        places = self.indices(start, count)
        images = self.images.read(places)
        return (images.pin_memory() if self.device.type == "cuda" else images), places

    def _read_ahead(self, start: int, count: int) -> tuple[Tensor, npt.NDArray[np.int64]]:
        if self._pool is None:
            return self._read(start, count)
        if self._next is not None and self._next[0] == (start, count):
            found = self._next[1].result()
        else:
            found = self._read(start, count)
        following = (start + count, count)
        self._next = (following, self._pool.submit(self._read, *following))
        return found


def _upload(images: ImageTable, device: torch.device) -> Tensor:
    """Copy all images to the GPU piece by piece, so that a memory map is never whole in memory."""
    shape = images.parts[0].shape[1:]
    result = torch.empty((len(images), *shape), dtype=torch.uint8, device=device)
    for start in range(0, len(images), 8192):
        rows = np.arange(start, min(start + 8192, len(images)))
        result[start : start + len(rows)] = images.read(rows).to(device)
    return result
