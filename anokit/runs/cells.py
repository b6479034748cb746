"""One cell of a sweep: an ordinary ``anokit run`` in a process of its own, begun or resumed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from anokit.store.files import make_folder, open_log, write_json
from anokit.store.run_directory import RunDirectory, RunState

Status = Literal["finished", "failed", "interrupted", "running", "waiting"]

POLL = 1.0
"""Seconds between two looks at a cell that another process is at work in."""

INTERRUPTED = 130


@dataclass(frozen=True)
class CellJob:
    """What a process, here or on another machine, must know to carry out a cell."""

    name: str
    arguments: tuple[str, ...]
    """of ``anokit run``, but for where"""
    run: str
    """the run directory"""
    log: str
    """the file that takes what the run prints"""
    record: str
    """the file that takes what became of it"""
    folder: str
    """where relative paths are seen from; all paths here are absolute"""
    threads: int | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    name: str
    exit_code: int
    seconds: float
    reason: str = ""
    """the last error that it printed"""

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.exit_code == 0


@dataclass
class Children:
    """Processes at work, so that all can be asked to stop."""

    alive: set[subprocess.Popen[bytes]] = field(default_factory=set)
    stopping: bool = False
    lock: Lock = field(default_factory=Lock)

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes] | None:
        """Start a process, unless all are to stop."""
        with self.lock:
            if self.stopping:
                return None
            child = subprocess.Popen(command, **options)
            self.alive.add(child)
            return child

    def stop(self) -> None:
        """Ask all once to save and stop; begin no other."""
        with self.lock:
            self.stopping = True
            for child in self.alive:
                child.terminate()  # unlike an interrupt never ignored, also not behind nohup


def carry_out(job: CellJob, children: Children | None = None) -> Outcome:
    """Run a cell to its end, or go on with it; wait where another process is at work in it.

    Never raises for what becomes of the run: that is the outcome, and stands in ``job.record``.
    """
    children = children or Children()
    run = RunDirectory(Path(job.run))
    began = time.monotonic()
    while run.busy:
        if children.stopping:
            return Outcome(job.name, INTERRUPTED, 0.0)
        time.sleep(POLL)
    if run.finished and run.tidy:
        return Outcome(job.name, 0, 0.0)
    where = ("--out" if run.state is RunState.BEGUN else "--resume", job.run)
    command = [sys.executable, "-m", "anokit", "run", *job.arguments, *where]
    log = Path(job.log)
    make_folder(log.parent)
    with open_log(log) as file:
        begin = file.tell()
        file.write(f"$ {shlex.join(['anokit', *command[3:]])}\n".encode())
        file.flush()
        child = children.start(
            [*command, "--device", job.device],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=job.folder,
            env=_environment(job),
            start_new_session=True,  # Ctrl-C stops it through `Children.stop`, once
        )
        if child is None:
            return Outcome(job.name, INTERRUPTED, 0.0)
        try:
            code = child.wait()
        finally:
            children.alive.discard(child)
    if code and children.stopping:
        code = INTERRUPTED
    if code == 1 and run.finished and run.tidy:
        code = 0  # which it is not where files of the data could not be read
    reason = "" if code == 0 else _reason(log, begin, code)
    outcome = Outcome(job.name, code, round(time.monotonic() - began, 3), reason)
    if code != INTERRUPTED:
        write_json(Path(job.record), asdict(outcome))
    return outcome


def read_record(path: Path) -> Outcome | None:
    """Return what was recorded of a cell; None where nothing is, or it cannot be read."""
    try:
        return Outcome(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def status_of(run: RunDirectory, record: Path) -> tuple[Status, str]:
    """Return how far a cell is, from what lies on the disk, and why where it failed."""
    if run.busy:
        return "running", ""
    if run.finished:
        return "finished", ""
    found = read_record(record)
    if found and not found.finished:
        return "failed", found.reason
    return ("interrupted" if run.state is RunState.INTERRUPTED else "waiting"), ""


def progress_of(run: RunDirectory) -> float | None:
    """Return the share of its training images that a run has shown; None before it says."""
    try:
        with run.metrics.open("rb") as file:
            file.seek(max(0, run.metrics.stat().st_size - 4096))
            last = json.loads(file.read().splitlines()[-1])
        return min(1.0, float(last["images"]) / float(last["of"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return None


def _environment(job: CellJob) -> dict[str, str]:
    environment = {**os.environ, "COLUMNS": "120"}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        environment.pop(name, None)
    if job.threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job.threads))
    return environment


def _reason(log: Path, begin: int, code: int) -> str:
    """Return the last error of a log, from a place on, in one line."""
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}; see {log}"
        except ValueError:
            return f"killed by signal {-code}; see {log}"
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    shown = [line for line in lines if line.strip()]
    return shown[-1].strip() if shown else f"exit code {code}; see {log}"
