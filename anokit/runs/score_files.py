"""``anokit score``: image files through a finished run, few or many, in pieces (`runs.pieces`)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL
import torch

from anokit.data.finding import Found
from anokit.data.limits import most_pixels
from anokit.errors import DataError, Interrupted
from anokit.report.ranked_gallery import Gallery
from anokit.runs.finished import FinishedRun
from anokit.runs.inputs import FileList, list_files
from anokit.runs.noting import noting
from anokit.runs.piece_pictures import PiecePainter
from anokit.runs.pieces import Head, PieceJob, jobs_of, piece_size, read_head, score_pieces
from anokit.runs.ranked_files import RankedFiles, paint, rank_files
from anokit.runs.ray_pieces import RayPieces
from anokit.runs.score_place import clear, place_of, workplace
from anokit.runs.score_request import ScoreRequest
from anokit.runs.sweep import shard_numbers
from anokit.store.certificate import code_of
from anokit.store.files import make_folder
from anokit.version import __version__
from anokit.watching import NOBODY, Watcher

__all__ = ["ScoreRequest", "ScoredFiles", "score_files"]


@dataclass(frozen=True)
class ScoredFiles:
    """What came of image files and a finished run."""

    run: FinishedRun
    ranked: RankedFiles
    count: int
    """files that were scored"""
    left_out: list[tuple[str, str]]
    """files and folders that could not be read, and why"""
    passed_over: str
    """what below folders was no image or hidden, in words"""
    clipping: Head
    resumed: int
    """files whose scores were there already"""
    seconds: float
    """that scoring took"""
    gallery: Gallery | None = None


@dataclass
class Work:
    """Files in pieces, scored by one run."""

    request: ScoreRequest
    run: FinishedRun
    names: FileList
    found: Found
    folder: Path
    watcher: Watcher
    painter: PiecePainter | None = None
    resumed: int = 0
    seconds: float = 0.0

    def carry_out(self) -> list[Path]:
        """Score the pieces that are not there, or those of a shard; return the files of all."""
        size = piece_size(self.names.count, self.run.recipe.evaluation.batch_size)
        jobs = jobs_of(self.names, size, self.folder)
        total = self.names.count
        if self.request.shard is not None:
            first, step = shard_numbers(self.request.shard)
            mine = [job for job in jobs if job.number % step == first - 1]
            total, jobs = sum(job.count for job in mine), iter(mine)
        seen: list[PieceJob] = []

        def noted() -> Iterator[PieceJob]:
            for job in jobs:
                seen.append(job)
                yield job

        paint = self.painter.paint if self.painter else _nothing
        advance = self.watcher.track("scoring and painting" if self.painter else "scoring", total)
        began = time.monotonic()
        try:
            if self.request.ray is None:
                self.resumed = score_pieces(self.run, noted(), advance, paint)
            else:
                request = self.request
                engine = RayPieces(
                    request.ray or "",
                    (request.run.absolute(), request.plugins, request.trust_plugins),
                    self.run.device.type,
                )
                self.resumed = engine.score_pieces(noted(), advance)
                for job in seen:
                    paint(job)
        except KeyboardInterrupt:
            if self.request.kept_for is None:
                raise
            raise Interrupted(
                f"interrupted: what was done is kept in {place_of(self.request.kept_for)}; the "
                "same command goes on"
            ) from None
        finally:
            self.watcher.done()
            self.seconds = time.monotonic() - began
        return [job.path for job in seen]


def score_files(request: ScoreRequest, watcher: Watcher = NOBODY) -> ScoredFiles | None:
    """Score files, and all image files below folders; None where only a shard was asked for.

    All scores go to ``request.out``, most anomalous first, and painted maps to ``request.maps``.

    Raises
    ------
    UsageError
        Where a path does not exist, no image is found, a rate is out of range, both rates are
        given, a plugin is neither given nor trusted, or what would be written over is somebody's.
    DataError
        Where no file can be read.
    Interrupted
        After Ctrl-C; the same request goes on.
    """
    request.check()
    with workplace(request.kept_for, request.shard) as place, noting(watcher):
        found = Found([])
        names = list_files(request.paths, place / f"files-{os.getpid()}", found, request.out)
        run = request.load()
        folder = place / _digest(request, run, names)
        make_folder(folder)
        listed = folder / "files"
        names.path.replace(listed)
        painter = PiecePainter(run, request.score) if request.maps else None
        work = Work(request, run, replace(names, path=listed), found, folder, watcher, painter)
        paths = work.carry_out()
        scored = None if request.shard else _finish(work, paths)
    if scored is not None:
        clear(request.kept_for)
    return scored


def _nothing(job: PieceJob) -> None:
    """Do nothing with a piece that was scored."""


def _digest(request: ScoreRequest, run: FinishedRun, names: FileList) -> str:
    """Return what tells the scores of these files by this run, on such a device, from others."""
    directory = run.directory
    digest = hashlib.sha256()
    device = run.device.type
    versions = (__version__, torch.__version__, PIL.__version__)
    threads = torch.get_num_threads() if device == "cpu" else 0
    digest.update(
        repr((names.digest, names.count, device, threads, versions, most_pixels())).encode()
    )
    code = [(one.name, one.version, one.sha256, code_of(one.modules)) for one in run.plugins]
    digest.update(repr(sorted(code)).encode())
    inside = [*directory.path.glob("*.json"), *directory.path.glob("*.py"), directory.model]
    for path in [*sorted(inside), *sorted(directory.scores.glob("*")), *request.plugins]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _finish(work: Work, paths: Sequence[Path]) -> ScoredFiles:
    """Merge the pieces into one table, and paint maps."""
    request, names = work.request, work.names
    heads = Head("")
    for head in filter(None, map(read_head, paths)):
        heads.left_out += head.left_out
        heads.blank += head.blank
        if head.clipped:
            heads.note_clipping(head.low, head.high, head.clipped)
    count = names.count - len(heads.left_out)
    if not count:
        name, reason = heads.left_out[0]
        raise DataError(
            f"none of {names.count} files can be read as an image; the first is {name}: {reason}"
        )
    ranked = rank_files(request, work.run, paths, work.folder, count)
    gallery = None
    if work.painter:
        gallery = paint(request, work.painter, ranked.ranking, paths, work.watcher)
    folders = [(str(path), why) for path, why in work.found.unreadable]
    return ScoredFiles(
        work.run,
        ranked,
        count,
        [*folders, *heads.left_out],
        work.found.skipped(folders=False),
        heads,
        work.resumed,
        work.seconds,
        gallery,
    )
