"""Devices and what is set on them before a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from anokit.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps`` means here.

    Raises
    ------
    UsageError
        Where there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; "
            "use --device cpu or auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: not available on this machine; use --device cpu or auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps")
    return device


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with so many CPU threads; None leaves them as they are."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe_device(device: torch.device, training_threads: int | None = None) -> str:
    """Return the device in words, for environment.json and the report."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = training_threads or torch.get_num_threads()
    return f"{device.type}, {count} thread{'s' * (count > 1)}"


def seed_of(*parts: int | str) -> int:
    """Return a seed for a `torch.Generator` that depends on all ``parts``."""
    import hashlib

    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(device: torch.device, *seed: int | str) -> torch.Generator:
    """Return a generator on ``device`` seeded by ``seed``."""
    return torch.Generator(device).manual_seed(seed_of(*seed))


def peak_memory(device: torch.device) -> int:
    """Return the most memory that this process held so far: on the GPU, or in all on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
