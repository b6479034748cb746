"""How long something takes: the network, or one score."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

LONG_SECONDS = 0.1
"""What takes longer is not timed again: a warm-up would not matter."""

T = TypeVar("T")


def best_of_two(make: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """Return what ``make`` makes and its seconds, the fewer of two unless the first are many."""
    best = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        made = make()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
        if best > LONG_SECONDS:
            break
    return made, best
