"""What the cells of a sweep cost, before any is begun: each system is timed in its own process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from anokit.errors import AnokitError, UsageError
from anokit.recipe.parts import Recipe
from anokit.recipe.sweeps import Cell, kind_of
from anokit.watching import NOBODY, Watcher, duration

if TYPE_CHECKING:
    from anokit.runs.plan import Cost

KEPT_FACTOR, BUSY_FACTOR = 1, 4
"""Times the weights' size that lie on the disk after a run and while it trains: a checkpoint holds
the weights, their moving average and two moments of Adam."""

PATIENCE = 6.0
"""About how long each phase of a system is timed at most, in seconds."""

REPORT_BYTES = 4 * 2**20
"""About what report, tables and exhibits of a run take."""


@dataclass(frozen=True)
class SweepCost:
    """What cells cost together, training alone."""

    cells: int
    unknown: dict[str, str]
    """cells whose cost could not be told, and why"""
    seconds: dict[str, float]
    """of training, by cell, as far as known"""
    memory: list[int]
    """bytes that each cell needs, the largest first"""
    kept: int
    """bytes on the disk at the end"""
    busy: int
    """further bytes on the disk while one cell trains"""

    def together(self, jobs: int) -> int:
        """Return the bytes of memory that the largest ``jobs`` cells need at a time."""
        return sum(self.memory[:jobs])

    def text(self, jobs: int) -> str:
        """Return lines in words."""
        hours = duration(sum(self.seconds.values()) / max(1, min(jobs, self.cells)))
        free = _size(psutil.virtual_memory().available)
        memory, disk = _size(self.together(jobs)), _size(self.busy * jobs)
        lines = [
            f"{self.cells} cells, {jobs} at a time: about {hours} of training.",
            "Scoring, and scores that are fitted, are not in it.",
            f"Memory: about {memory} at a time; {free} are free.",
            f"Disk: about {_size(self.kept)} at the end, {disk} more while cells train.",
        ]
        for why in dict.fromkeys(self.unknown.values()):
            first, *others = (name for name, other in self.unknown.items() if other == why)
            more = f" and {len(others)} more" if others else ""
            lines.append(f"{first}{more}: unknown: {why}")
        return "\n".join(lines)


def sweep_cost(
    cells: Sequence[Cell],
    device: str = "auto",
    watcher: Watcher = NOBODY,
    patience: float = PATIENCE,
) -> SweepCost:
    """Time steps of every system among ``cells``, each in a process of its own.

    Cells that differ in seed and contamination alone are one system. A phase is timed for about
    ``patience`` seconds, at least one step.
    """
    kinds: dict[str, list[Cell]] = {}
    for cell in cells:
        kinds.setdefault(kind_of(cell), []).append(cell)
    systems = "one system" if len(kinds) == 1 else f"each of {len(kinds)} systems"
    watcher.notice(f"timing a few steps of {systems}")
    found: list[tuple[int, Cost]] = []
    seconds: dict[str, float] = {}
    unknown: dict[str, str] = {}
    context = multiprocessing.get_context("spawn")
    for members in kinds.values():
        # A new process for each, since the peak of memory is the process's own.
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            try:
                question = _Question.of(members[0].recipe)
                cost = pool.submit(_measure, question, device, patience).result()
            except (AnokitError, BrokenProcessPool) as error:
                unknown |= {one.name: str(error).splitlines()[0] for one in members}
            else:
                found.append((len(members), cost))
                seconds |= {one.name: cost.seconds for one in members}
    return SweepCost(
        cells=len(cells),
        unknown=unknown,
        seconds=seconds,
        memory=sorted((cost.memory for count, cost in found for _ in range(count)), reverse=True),
        kept=sum(n * (KEPT_FACTOR * cost.weights + REPORT_BYTES) for n, cost in found),
        busy=max((BUSY_FACTOR * cost.weights for _, cost in found), default=0),
    )


def check_room(cost: SweepCost, jobs: int, folder: Path) -> None:
    """Refuse a sweep whose cells do not fit into memory or onto the disk.

    Raises
    ------
    UsageError
        With what would fit.
    """
    free = psutil.virtual_memory().available
    if cost.together(jobs) > free:
        fits = max((n for n in range(1, jobs) if cost.together(n) <= free), default=0)
        advice = f"--jobs {fits} fits" if fits else "not even one fits: make its networks smaller"
        raise UsageError(
            f"--jobs {jobs}: the largest {min(jobs, cost.cells)} cells need about "
            f"{_size(cost.together(jobs))} of memory at a time, and {_size(free)} are free; "
            f"{advice}"
        )
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    room, wanted = psutil.disk_usage(str(place)).free, cost.kept + cost.busy * jobs
    if wanted > room:
        raise UsageError(
            f"{folder}: the cells need about {_size(wanted)} of disk, and {_size(room)} are free; "
            "choose another place with --out, or make room"
        )


@dataclass(frozen=True)
class _Question:
    """A recipe, as another process can read it again."""

    given: str
    quick: bool
    settings: tuple[str, ...]
    plugin_files: tuple[Path, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> _Question:
        return cls(recipe.given, recipe.quick, recipe.settings, recipe.plugin_files)


def _measure(question: _Question, device: str, patience: float) -> Cost:
    from anokit.recipe.reading import load_recipe
    from anokit.registry.lookup import Registry
    from anokit.runs.plan import cost_of, shape_and_count
    from anokit.training.device import resolve_device

    registry = Registry.load(list(question.plugin_files))
    recipe = load_recipe(
        Path(question.given), registry, quick=question.quick, settings=question.settings
    )
    spec, count, _ = shape_and_count(recipe.dataset)
    return cost_of(recipe, spec, count, resolve_device(device), patience)


def _size(count: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1024:.0f} KiB"
