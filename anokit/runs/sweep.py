"""A sweep: the cells of a sweep file, each an ordinary run, carried out until all are finished."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from anokit.errors import UsageError
from anokit.recipe.sweeps import Cell, Sweep
from anokit.runs.cells import INTERRUPTED, CellJob, Outcome, progress_of, status_of
from anokit.runs.engines import Engine
from anokit.runs.sweep_folder import CellState, Overview, SweepFolder

LOOK = 0.5
"""Seconds between two looks at what is running."""


class SweepWatcher:
    """Watches a sweep and shows nothing. A display overrides what it cares for."""

    def changed(self, state: CellState, overview: Overview) -> None:
        """Note that a cell began, finished or failed."""

    def look(self, overview: Overview) -> None:
        """Look at all cells; called about twice a second."""


def shard_of(cells: Sequence[Cell], shard: str | None) -> list[Cell]:
    """Return the cells of one of several processes, such as ``2/5``.

    Raises
    ------
    UsageError
        Where ``shard`` is not of the form k/n with 1 ≤ k ≤ n.
    """
    if shard is None:
        return list(cells)
    first, step = shard_numbers(shard)
    return list(cells[first - 1 :: step])


def shard_numbers(shard: str) -> tuple[int, int]:
    """Return k and n of ``k/n``; raise `UsageError` as `shard_of` does."""
    first, _, second = shard.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise UsageError(f"--shard {shard}: expected K/N with 1 ≤ K ≤ N, such as --shard 2/5")
    return int(first), int(second)


def run_sweep(
    sweep: Sweep,
    folder: SweepFolder,
    cells: Sequence[Cell],
    engine: Engine,
    *,
    threads: int | None,
    estimates: Mapping[str, float],
    watcher: SweepWatcher,
) -> Overview:
    """Carry out all of ``cells`` that are not finished; return how far every cell is then.

    A cell that fails does not stop the others. After Ctrl-C the rest is left as it is, and a second
    call goes on from there.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.keep_files(sweep)
    mine = {cell.name for cell in cells}
    found = [folder.state(cell) for cell in sweep.cells]
    overview = Overview(sweep.title, sweep.quick, found, engine.jobs, estimates)
    states = {state.cell.name: state for state in overview.states}
    folder.write_index(overview)
    waiting = {
        engine.submit(_job(state, folder, threads)): name
        for name, state in states.items()
        if name in mine and state.status != "finished"
    }
    for name in waiting.values():
        states[name].status, states[name].reason = "waiting", ""
        states[name].log_bytes = _size(folder.log(name))
        folder.record(name).unlink(missing_ok=True)
    try:
        while waiting:
            done, _ = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                _take(states[waiting.pop(future)], future, folder, overview, watcher)
            _look(states, waiting, folder, overview, watcher)
    except KeyboardInterrupt:
        engine.stop()
        done, _ = wait(waiting)
        for future in done:
            _take(states[waiting.pop(future)], future, folder, overview, watcher)
        raise
    finally:
        engine.close()
        folder.write_index(overview)
    return overview


def _job(state: CellState, folder: SweepFolder, threads: int | None) -> CellJob:
    name = state.cell.name
    return CellJob(
        name=name,
        arguments=state.cell.recipe.argument_words,
        run=str(state.run.path.absolute()),
        log=str(folder.log(name).absolute()),
        record=str(folder.record(name).absolute()),
        folder=str(Path.cwd()),
        threads=threads,
    )


def _take(
    state: CellState,
    future: Future[Outcome],
    folder: SweepFolder,
    overview: Overview,
    watcher: SweepWatcher,
) -> None:
    """Note what became of a cell."""
    try:
        outcome = future.result()
    except Exception as error:  # the engine's own: a lost cluster, a machine without the folder
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        outcome = Outcome(state.cell.name, 1, 0.0, words)
    state.seconds, state.progress, state.reason = outcome.seconds, None, outcome.reason
    if outcome.exit_code == INTERRUPTED:
        state.status, _ = status_of(state.run, folder.record(state.cell.name))
    else:
        state.status = "finished" if outcome.finished else "failed"
    watcher.changed(state, overview)
    folder.write_index(overview)


def _look(
    states: Mapping[str, CellState],
    waiting: Mapping[Future[Outcome], str],
    folder: SweepFolder,
    overview: Overview,
    watcher: SweepWatcher,
) -> None:
    """Look which of the cells that are not over are being worked on, and how far they are."""
    for name in waiting.values():
        state = states[name]
        if state.status == "waiting" and _size(folder.log(name)) > state.log_bytes:
            state.status, state.began = "running", time.monotonic()
            watcher.changed(state, overview)
            folder.write_index(overview)
        if state.status == "running":
            state.progress = progress_of(state.run)
    watcher.look(overview)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
