"""Refuse what does not fit into memory before it is begun."""

from __future__ import annotations

from pathlib import Path

import torch

from anokit.errors import DataError

MEMINFO = Path("/proc/meminfo")


def available_bytes(device: torch.device) -> int | None:
    """Return the memory that is free on a device; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else None


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
