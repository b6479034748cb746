"""Refuse what does not fit into memory before it is begun."""

from __future__ import annotations

import torch

from anokit.errors import DataError
from anokit.nn import available_bytes


def make_room(needed: int, device: torch.device, what: str, advice: str) -> None:
    """Raise `DataError` where ``needed`` bytes are more than is free.

    ``what`` needs them ("score 'x': a memory of …"), ``advice`` is what to do.
    """
    free = available_bytes(device)
    if free is not None and needed > free:
        raise DataError(
            f"{what} takes {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are "
            f"available: {advice}"
        )
