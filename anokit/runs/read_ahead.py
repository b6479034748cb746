"""Files read in threads while the network is busy, as many at a time as a bounded memory holds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")

ROOM = 2**28
"""Bytes of what was read and not yet taken, unless fewer than two hold it."""


class ReadAhead(Generic[Item, Read]):
    """Reads items in threads, in their order.

    Parameters
    ----------
    read
        Reads one; called in several threads.
    size
        Returns how many bytes what was read takes. The largest so far says how many may wait.
    most
        Items that may wait at most.
    """

    def __init__(
        self, read: Callable[[Item], Read], size: Callable[[Read], int], most: int
    ) -> None:
        self.read, self.size, self.most = read, size, most
        workers = cores()
        self._pool = ThreadPoolExecutor(workers, "anokit-read")
        self._waiting: deque[tuple[Item, Future[Read]]] = deque()
        self._at_once = min(most, workers + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def each(self, items: Iterable[Item]) -> Iterator[tuple[Item, Read]]:
        """Yield every item with what was read of it; raise what reading raised."""
        largest = 1
        for item in items:
            self._waiting.append((item, self._pool.submit(self.read, item)))
            while len(self._waiting) >= self._at_once:
                taken, found = self._take()
                largest = max(largest, self.size(found))
                self._at_once = max(2, min(self.most, ROOM // largest))
                yield taken, found
        while self._waiting:
            yield self._take()

    def _take(self) -> tuple[Item, Read]:
        item, future = self._waiting.popleft()
        return item, future.result()


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
