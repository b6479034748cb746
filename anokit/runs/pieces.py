"""Many files in pieces: each is scored from its own files alone and kept in a file of its own.

Which files make a piece follows from the list of all and from nothing else. A piece is scored in
batches that do not reach into the next one, so that its scores are the same bits whoever does it
and whatever was done before. One that is there for the same files, sizes and times is not done
again; so a command that was killed goes on, and several processes may share the pieces.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from anokit.errors import CheckpointError, DataError
from anokit.runs.finished import FinishedRun
from anokit.runs.inputs import FileList
from anokit.runs.read_ahead import ReadAhead
from anokit.store.files import writing
from anokit.types import Pieces
from anokit.watching import Advance

MOST = 4096
"""Pieces at most, so that no folder has too many files."""

FAN = 128
"""Files that are merged at once; a process may have some hundred open."""

Line = tuple[float, int, str]
"""Minus the primary score, place among all files, the row as JSON: in the order of a ranking."""


@dataclass(frozen=True)
class PieceJob:
    """What a process, here or on another machine, must know to score a piece."""

    number: int
    start: int
    """place of its first file among all"""
    count: int
    names: str
    """the file that lists the names of all"""
    at: int
    """where its names begin in it, in bytes"""
    length: int
    folder: str
    """where pieces are kept; like ``names`` absolute"""
    seen_from: str
    """the folder from which relative names are seen"""

    @property
    def path(self) -> Path:
        """Return the file that keeps the piece."""
        return Path(self.folder) / f"{self.number:08d}.jsonl"

    def files(self) -> list[str]:
        """Return its names as they were given."""
        with Path(self.names).open("rb") as file:
            file.seek(self.at)
            return list(map(os.fsdecode, file.read(self.length).split(b"\0")[:-1]))

    def key(self, files: Sequence[str]) -> str:
        """Return a digest of names, sizes and times of the files."""
        digest = hashlib.sha256()
        for name in files:
            try:
                found = Path(self.seen_from, name).stat()
                state = f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
            except OSError as error:
                state = str(error.errno)
            digest.update(os.fsencode(name) + f"\0{state}\0".encode())
        return digest.hexdigest()


def piece_size(count: int, batch: int) -> int:
    """Return how many of ``count`` files make a piece: whole batches, at most `MOST` pieces."""
    return batch * max(1, -(-count // (batch * MOST)))


def jobs_of(names: FileList, size: int, folder: Path) -> Iterator[PieceJob]:
    """Yield the pieces of a list, ``size`` files in each."""
    where = (str(names.path.absolute()),)
    count, at, length = 0, 0, 0
    number = 0
    seen_from, kept = str(Path.cwd()), str(folder.absolute())
    for place, name in enumerate(names.names(), start=1):
        count, length = count + 1, length + len(os.fsencode(name)) + 1
        if count == size or place == names.count:
            yield PieceJob(number, place - count, count, *where, at, length, kept, seen_from)
            number, at, count, length = number + 1, at + length, 0, 0


FLAT = 4
"""Grey levels that a file should have at least, lest nothing be seen in it."""


@dataclass
class Head:
    """What is kept of a piece before its rows."""

    key: str
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """files that could not be read, and why"""
    clipped: int = 0
    """files with values outside of what becomes 0 to 255"""
    low: float = float("inf")
    high: float = float("-inf")
    blank: int = 0
    """files of (nearly) one grey level, as networks see them"""

    def note_clipping(self, low: float, high: float, count: int = 1) -> None:
        """Note the smallest and largest value of files that were clipped."""
        self.clipped += count
        self.low, self.high = min(self.low, low), max(self.high, high)


def read_head(path: Path) -> Head | None:
    """Return the head of a piece; None where there is no such piece, or no whole one."""
    try:
        with path.open(encoding="ascii") as file:
            found = json.loads(file.readline())
        return Head(**{**found, "left_out": [(name, why) for name, why in found["left_out"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True)
class _File:
    job: PieceJob
    key: str
    place: int
    name: str


def score_pieces(
    run: FinishedRun,
    jobs: Iterable[PieceJob],
    advance: Advance,
    then: Callable[[PieceJob], None] = lambda job: None,
) -> int:
    """Score all pieces that are not there, one after the other, files decoded ahead in threads.

    ``then`` is called with each one that is there. Returns the number of files in those that were.

    Raises
    ------
    CheckpointError
        Where a piece cannot be written.
    """
    resumed = 0

    def read(file: _File) -> Pieces | str:
        path = Path(file.job.seen_from, file.name)
        try:
            return run.pieces(path)
        except DataError as error:
            text = str(error).removeprefix(f"{path}: ")
            return text.removeprefix("cannot be read as an image: ").replace(str(path), file.name)

    def wanted() -> Iterator[_File]:
        nonlocal resumed
        for job in jobs:
            files = job.files()
            key = job.key(files)
            kept = read_head(job.path)
            if kept is not None and kept.key == key:
                resumed += job.count
                advance(job.count)
                then(job)
                continue
            for place, name in enumerate(files, start=job.start):
                yield _File(job, key, place, name)

    with ReadAhead(read, size_of, 2 * run.recipe.evaluation.batch_size) as ahead:
        for job, files in groupby(ahead.each(wanted()), key=lambda found: found[0].job):
            _score_piece(run, job, files, advance)
            then(job)
    return resumed


def size_of(found: Pieces | str) -> int:
    """Return how many bytes what was read of a file takes."""
    return 0 if isinstance(found, str) else found.images.nbytes


def _score_piece(
    run: FinishedRun, job: PieceJob, files: Iterator[tuple[_File, Pieces | str]], advance: Advance
) -> None:
    """Score the files of one piece, in batches, and keep it."""
    names = [score.name for score in run.recipe.scores]
    best: dict[int, list[float]] = {}
    kept: list[tuple[int, str]] = []
    head = Head("")
    tiles: list[tuple[Tensor, int, float]] = []
    size = run.recipe.evaluation.batch_size

    def flush(batch: list[tuple[Tensor, int, float]]) -> None:
        share = sum(part for _, _, part in batch) / len(batch)
        images = torch.stack([image for image, _, _ in batch])
        scored = run.score(images, lambda count: advance(count * share))
        for row, (_, place, _) in enumerate(batch):
            values = [float(scored[name][row]) for name in names]
            known = best.get(place, values)
            best[place] = [max(pair) for pair in zip(known, values, strict=True)]

    for file, found in files:
        head.key = file.key
        if isinstance(found, str):
            head.left_out.append((file.name, found))
            advance(1)
            continue
        kept.append((file.place, file.name))
        if found.clipped is not None:
            head.note_clipping(*found.clipped)
        head.blank += int(found.images.max()) - int(found.images.min()) < FLAT
        tiles += [(image, file.place, 1 / len(found.images)) for image in found.images]
        while len(tiles) >= size:
            flush(tiles[:size])
            del tiles[:size]
    if tiles:
        flush(tiles)
    rows = [(-best[place][0], place, json.dumps([name, *best[place]])) for place, name in kept]
    _write(job.path, json.dumps(vars(head)), sorted(rows))


def _write(path: Path, head: str, lines: Iterable[Line]) -> None:
    with writing(path, shared=True) as file:
        file.write(head + "\n")
        file.writelines(f"{key!r} {place} {row}\n" for key, place, row in lines)


def _lines(path: Path, file: Iterable[str]) -> Iterator[Line]:
    """Yield the rows of an opened piece."""
    try:
        for line in file:
            key, place, row = line.rstrip("\n").split(" ", 2)
            yield float(key), int(place), row
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged: {error}; delete it and try again") from None


def rows_of(paths: Iterable[Path]) -> Iterator[tuple[str, list[float]]]:
    """Yield name and scores of all files in pieces, as they come."""
    for path in paths:
        with ExitStack() as stack:
            yield from map(_row, _merge([path], stack))


def merged(paths: Sequence[Path], folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Yield name and scores of all files in pieces, the most anomalous by the first score first.

    Of equal ones the first in the list comes first. Takes the memory of a few rows of each of `FAN`
    files: more are merged into larger ones in ``folder`` before.
    """
    level = 0
    while len(paths) > FAN:
        groups = [paths[at : at + FAN] for at in range(0, len(paths), FAN)]
        larger = [folder / f"merged-{level}-{number:04d}.jsonl" for number in range(len(groups))]
        for group, path in zip(groups, larger, strict=True):
            with ExitStack() as stack:
                _write(path, "{}", _merge(group, stack))
        paths, level = larger, level + 1
    with ExitStack() as stack:
        yield from map(_row, _merge(paths, stack))


def _row(line: Line) -> tuple[str, list[float]]:
    name, *scores = json.loads(line[2])
    return name, scores


def _merge(paths: Sequence[Path], stack: ExitStack) -> Iterator[Line]:
    rows = []
    for path in paths:
        file = stack.enter_context(path.open(encoding="ascii"))
        file.readline()
        rows.append(_lines(path, file))
    return heapq.merge(*rows)
