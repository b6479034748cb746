"""The folder of a sweep, and how far its cells are."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anokit.errors import CheckpointError, UsageError
from anokit.recipe.sweep_tables import SWEEP_FILE
from anokit.recipe.sweeps import KEPT, RECIPE, VARIANT, Cell, Sweep, kind_of
from anokit.registry.lookup import Registry
from anokit.runs.cells import Status, read_record, status_of
from anokit.store.files import make_folder, write_json, write_text
from anokit.store.run_directory import RunDirectory
from anokit.store.targets import check_folder


@dataclass
class CellState:
    """How far a cell is."""

    cell: Cell
    run: RunDirectory
    status: Status
    reason: str = ""
    began: float | None = None
    """when this process began with it, by the monotonic clock"""
    seconds: float = 0.0
    """that it took, once it is over"""
    progress: float | None = None
    """share of training that is done, while it runs"""
    log_bytes: int = 0
    """length of its log before this process had it carried out"""


@dataclass
class Overview:
    """How far a sweep is."""

    title: str
    quick: bool
    states: list[CellState]
    jobs: int
    estimates: Mapping[str, float] = field(default_factory=dict)
    """seconds of training by cell, from a few timed steps"""

    def count(self, status: Status) -> int:
        """Return how many cells are ``status``."""
        return sum(state.status == status for state in self.states)

    @property
    def running(self) -> list[CellState]:
        """Return the cells that are being worked on."""
        return [state for state in self.states if state.status == "running"]

    @property
    def seconds_left(self) -> float | None:
        """Return about how long the rest takes; None before anything can be told."""
        known: dict[str, list[float]] = {}
        for state in self.states:
            if state.status == "finished" and state.seconds:
                known.setdefault(kind_of(state.cell), []).append(state.seconds)
        rest = []
        for state in self.states:
            if state.status in ("finished", "failed"):
                continue
            spent = time.monotonic() - state.began if state.began else 0.0
            alike = known.get(kind_of(state.cell))
            if state.progress and spent:
                rest.append(spent / state.progress - spent)
            elif alike:
                rest.append(max(0.0, sum(alike) / len(alike) - spent))
            elif (guess := self.estimates.get(state.cell.name)) is not None:
                rest.append(max(0.0, guess - spent))
            else:
                return None
        return max(sum(rest) / max(1, self.jobs), max(rest, default=0.0))


class SweepFolder:
    """What a sweep leaves: sweep.toml, recipes/, cells/ (run directories), logs/, sweep.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / SWEEP_FILE
        self.index = path / "sweep.json"
        self.report = path / "report.html"

    def run(self, name: str) -> RunDirectory:
        """Return the run directory of a cell."""
        return RunDirectory(self.path / "cells" / name)

    def log(self, name: str) -> Path:
        """Return the file with what a cell's run printed."""
        return self.path / "logs" / f"{name}.txt"

    def record(self, name: str) -> Path:
        """Return the file that says what became of a cell."""
        return self.path / "logs" / f"{name}.json"

    @property
    def quick(self) -> bool:
        """Return whether the sweep was begun with ``--quick``.

        Raises
        ------
        UsageError
            Where sweep.json does not say.
        """
        try:
            return bool(json.loads(self.index.read_text(encoding="utf-8"))["quick"])
        except (OSError, ValueError, KeyError, TypeError):
            raise self._damaged() from None

    def variants(self) -> dict[Path, str]:
        """Return the variant of each cell by its run directory; empty without variants.

        Raises
        ------
        UsageError
            Where sweep.json is missing or damaged.
        """
        try:
            cells = json.loads(self.index.read_text(encoding="utf-8"))["cells"]
            return {
                self.path / one["run"]: str(one["settings"][VARIANT])
                for one in cells
                if VARIANT in one["settings"]
            }
        except (OSError, ValueError, KeyError, TypeError):
            raise self._damaged() from None

    def _damaged(self) -> UsageError:
        return UsageError(
            f"{self.index}: is missing or damaged; go on from the sweep file instead, with "
            f"--out {self.path}"
        )

    def state(self, cell: Cell) -> CellState:
        """Return how far a cell is, by what lies on the disk."""
        run, record = self.run(cell.name), self.record(cell.name)
        status, reason = status_of(run, record)
        found = read_record(record)
        seconds = found.seconds if found and status == "finished" else 0.0
        return CellState(cell, run, status, reason, seconds=seconds)

    def keep_files(self, sweep: Sweep) -> None:
        """Write the sweep file and its recipes, so that the folder stands alone."""
        write_text(self.file, sweep.text)
        make_folder(self.path / KEPT)
        for name, text in {cell.recipe.name: cell.recipe.text for cell in sweep.cells}.items():
            write_text(self.path / KEPT / f"{name}.toml", text)

    def write_index(self, overview: Overview) -> None:
        """Write sweep.json: every cell, what it is of and how far it is."""
        cells = [
            {
                "name": state.cell.name,
                "recipe": state.cell.recipe.name,
                "settings": {k: v for k, v in state.cell.values.items() if k != RECIPE},
                "run": state.run.path.relative_to(self.path).as_posix(),
                "status": state.status,
                "reason": state.reason or None,
            }
            for state in overview.states
        ]
        index = {"title": overview.title, "quick": overview.quick, "cells": cells}
        write_json(self.index, index)


def open_folder(sweep: Sweep, out: Path | None) -> SweepFolder:
    """Return the folder of a sweep: ``out``, or ``sweeps/NAME``; nothing is written yet.

    Raises
    ------
    UsageError
        Where the folder is no sweep's, or a cell in it was made by another recipe.
    """
    folder = SweepFolder(out or Path("sweeps") / sweep.name)
    check_folder("--out", folder.path)
    if folder.path.exists() and (
        not folder.path.is_dir() or (any(folder.path.iterdir()) and not folder.file.exists())
    ):
        raise UsageError(
            f"{folder.path}: is there already and holds no sweep; choose another place with --out"
        )
    for cell in sweep.cells:
        _refuse_other_recipe(cell, folder.run(cell.name))
    return folder


def of_other_versions(sweep: Sweep, folder: SweepFolder, registry: Registry) -> list[str]:
    """Return a sentence on each plugin of which cells that began have another version than now."""
    now = {plugin.name: plugin.version for plugin in registry.plugins}
    found: Counter[tuple[str, str]] = Counter()
    for run in (folder.run(cell.name) for cell in sweep.cells):
        with suppress(CheckpointError):  # a record for people; it was not begun, or is damaged
            made = run.environment().plugins
            found.update(one for one in made.items() if now.get(one[0], one[1]) != one[1])
    return [
        f"{count} of {len(sweep.cells)} cells began with {name} {before}, and {now[name]} computes "
        f"the rest, so that they cannot be compared: use {name} {before}, or begin anew with --out"
        for (name, before), count in sorted(found.items())
    ]


def _refuse_other_recipe(cell: Cell, run: RunDirectory) -> None:
    """Raise `UsageError` where a cell's run directory is of another recipe than the cell."""
    if not run.begun:
        return
    try:
        stored = run.resolved()
    except CheckpointError as error:
        raise UsageError(f"{error}; remove {run.path} to run the cell anew") from None
    now = json.loads(json.dumps({**cell.recipe.as_dict(), "quick": cell.recipe.quick}, default=str))
    for words in ("title", "requires", "published"):
        stored.pop(words, None), now.pop(words, None)
    changed = sorted(_differing(stored, now))
    if changed:
        shown = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
        raise UsageError(
            f"{run.path}: was made by another recipe than the sweep has now ({shown} differ); "
            "choose another place with --out, or remove that folder to run the cell anew"
        )


def _differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Return the dotted keys in which two nested values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in {**one, **other}
            for found in _differing(one.get(key), other.get(key), f"{where}.{key}".lstrip("."))
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [
            found for n, (a, b) in pairs for found in _differing(a, b, f"{where}.{n}".lstrip("."))
        ]
    return [] if one == other else [where]
