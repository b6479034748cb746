"""What a recipe asks for and the machine has no memory for: one sentence, with what would fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from anokit.errors import AnokitError, TrainingError
from anokit.nn import available_bytes
from anokit.recipe.parts import Recipe
from anokit.registry.blame import PluginFault, memory_ran_out
from anokit.types import ImageSpec, Phase

STATUS = Path("/proc/self/status")

NAMED = 3
"""Numbers of a recipe that are named where memory ran out, the largest first."""


@contextmanager
def within_memory(recipe: Recipe, device: torch.device, *, hold: bool = False) -> Iterator[None]:
    """Carry out a recipe; where memory runs out, say how much is free and what asks for much.

    Parameters
    ----------
    hold
        Whether the process is held to the memory that is free now, on a CPU and where the system
        can do that: it would hand out more, and end this process, or another one, once it is used.
        Not where files are mapped, which may be larger than memory.

    Raises
    ------
    PluginFault, TrainingError
        In place of what Python, NumPy and PyTorch raise where memory runs out.
    """
    free = available_bytes(device)
    try:
        with _held_to(free if hold and device.type == "cpu" else None):
            yield
    except PluginFault as fault:
        if fault.__cause__ is None or not memory_ran_out(fault.__cause__):
            raise
        # Without the cause: how the plugin came to ask for so much is no use to whoever asked it.
        raise fault.adding(f"; {_advice(recipe, free)}") from None
    except AnokitError:
        raise
    except Exception as error:
        if not memory_ran_out(error):
            raise
        said = " ".join(str(error).split()) or "no more could be had"
        raise TrainingError(f"memory ran out ({said[:200]}); {_advice(recipe, free)}") from None


def check_batches(phases: Sequence[Phase], spec: ImageSpec, device: torch.device) -> None:
    """Raise `TrainingError` where the images alone of a batch take more memory than is free."""
    free = available_bytes(device)
    if free is None:
        return
    # Bytes, floats and places of the images; what networks make of them comes to that.
    one = 5 * spec.channels * spec.height * spec.width + 24
    for phase in phases:
        if phase.batch_size * one > free:
            raise TrainingError(
                f"phase {phase.name!r} shows {phase.batch_size:,} images at once, which alone take "
                f"{phase.batch_size * one / 2**30:,.1f} GiB; {free / 2**30:.1f} GiB are free, for "
                f"{free // one:,} of them at the very most: lower its batch size"
            )


def _advice(recipe: Recipe, free: int | None) -> str:
    numbers = sorted(_numbers(recipe.as_dict()), key=lambda found: -found[1])[:NAMED]
    there = "" if free is None else f"{free / 2**30:.1f} GiB were free; "
    named = ", ".join(f"{name} = {number:,}" for name, number in numbers)
    return f"{there}lower what asks for so much; the largest numbers of the recipe are {named}"


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """Yield the whole numbers in tables, but for seeds, with the places at which they stand."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = (
            (one.get("name", at) if isinstance(one, Mapping) else at, one)
            for at, one in enumerate(value)
        )
    elif isinstance(value, int) and not isinstance(value, bool) and "seed" not in place:
        yield place, value
    for key, one in items:
        yield from _numbers(one, f"{place}.{key}".strip("."))


@contextmanager
def _held_to(free: int | None) -> Iterator[None]:
    """Let this process take so many more bytes and no more; None, or no way to do it: as it is."""
    used = _used_bytes()
    if free is None or used is None:
        yield
        return
    import resource  # where there is STATUS

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = used + free
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _used_bytes() -> int | None:
    """Return the bytes that count to the limit on a process's data; None where nothing tells."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmData:")]
    return 1024 * int(found[0]) if found else None
