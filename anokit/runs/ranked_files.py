"""Pieces of scored files merged into one ranking: a table, and overlays."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from anokit.data.names import readable
from anokit.errors import CheckpointError, UsageError
from anokit.report.ranked_gallery import Gallery
from anokit.results.thresholds import Calibration, discovery_bound
from anokit.runs.finished import FinishedRun
from anokit.runs.painting import paint_ranking
from anokit.runs.piece_pictures import PiecePainter
from anokit.runs.pieces import merged, rows_of
from anokit.runs.score_request import ScoreRequest
from anokit.store.files import writing
from anokit.store.score_table import Ranking, safe_rows
from anokit.watching import Watcher

BLOCK = 4096
"""Rows of the table that are in memory at once."""

Row = tuple[str, list[float]]
"""A file's name and its scores, in the order of the run's."""

Judge = Callable[[Sequence[Row]], Ranking]
"""Makes a ranking of rows that are in its order."""


@dataclass(frozen=True)
class RankedFiles:
    """The outcome of a merge."""

    ranking: Ranking
    """the most anomalous of the files, as many as are shown, with all scores; all for overlays"""
    flagged: int
    """of all files, by the primary score"""
    rule: str
    """what an image is flagged by, in words"""
    learnt: int
    """how many of all files are the run's own training images"""


def rank_files(
    request: ScoreRequest, run: FinishedRun, paths: Sequence[Path], folder: Path, count: int
) -> RankedFiles:
    """Merge pieces with ``count`` scored files, and write the table that is asked for.

    Raises
    ------
    UsageError
        Where the table cannot be written.
    """
    judge, rule = judging(request, run, paths, count)
    seen_from = _seen_from(run)
    own = {_place(seen_from / name) for name in run.directory.read_ranking().images}
    kept: list[Row] = []
    most = request.top if request.maps is None else count
    flagged = learnt = 0

    def rankings() -> Iterator[tuple[int, Ranking]]:
        nonlocal flagged, learnt
        first = 1
        for block in blocks(merged(paths, folder)):
            kept.extend(block[: max(0, most - len(kept))])
            learnt += sum(_place(Path(readable(name))) in own for name, _ in block)
            ranking = judge(block)
            flagged += int(next(iter(ranking.judged.values())).flagged.sum())
            yield first, ranking
            first += len(block)

    if request.out is None:
        for _ in rankings():
            pass
    else:
        write_csv(request.out, rankings())
    return RankedFiles(judge(kept), flagged, rule, learnt)


def _seen_from(run: FinishedRun) -> Path:
    """Return the folder from which relative names of a run's training images are seen."""
    try:
        return Path.cwd() / run.directory.environment().folder
    except CheckpointError:  # a record for people, which stops nobody
        return Path.cwd()


def _place(path: Path) -> tuple[str, str]:
    """Return the folder of a file, whatever way leads to it, and its name."""
    return _real(path.parent.absolute()), path.name


@lru_cache(maxsize=1024)
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists of `BLOCK`, of which the last one may be shorter."""
    rest = iter(rows)
    while block := list(islice(rest, BLOCK)):
        yield block


def judging(
    request: ScoreRequest, run: FinishedRun, paths: Sequence[Path], count: int
) -> tuple[Judge, str]:
    """Return what judges rows, and what is flagged by, in words."""
    names = [score.name for score in run.recipe.scores]
    by = run.calibrations(request.false_alarms)
    primary, rate = by[names[0]], request.false_discoveries
    rule = (
        f"threshold {primary.threshold:.4g} of {names[0]} "
        f"({100 * primary.promised:.3g} % false alarms)"
    )
    row = run.results.row(names[0])
    if row is not None and row.false_alarms is None:  # it was fitted on the only image there was
        rule = f"threshold {primary.threshold:.4g} of {names[0]}, which promises nothing"
    bounds: dict[str, float] = {}
    if rate is not None:
        bounds = discovery_bounds(by, paths, rate, count)
        rule = f"bound for {100 * rate:.3g} % false discoveries among these files"

    def judge(rows: Sequence[Row]) -> Ranking:
        columns = columns_of(names, rows)
        judged = {n: by[n].judge(values) for n, values in columns.items()}
        for name, bound in bounds.items():
            judged[name] = replace(judged[name], flagged=judged[name].p_values <= bound)
        return Ranking([name for name, _ in rows], columns, judged)

    return judge, rule


def columns_of(names: Sequence[str], rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Return the scores of rows by name."""
    values = np.array([scores for _, scores in rows], dtype=np.float64).reshape(-1, len(names))
    return {name: values[:, column] for column, name in enumerate(names)}


def discovery_bounds(
    by: Mapping[str, Calibration], paths: Sequence[Path], rate: float, count: int
) -> dict[str, float]:
    """Return the p-value up to which each score flags ``count`` files; see `discovery_bound`."""
    small: dict[str, list[np.ndarray]] = {name: [] for name in by}
    for block in blocks(rows_of(paths)):
        for name, values in columns_of(list(by), block).items():
            p_values = by[name].p_values(values)
            small[name].append(p_values[p_values <= rate])
    return {name: discovery_bound(np.concatenate(p), rate, count) for name, p in small.items()}


def write_csv(out: Path, blocks: Iterator[tuple[int, Ranking]]) -> None:
    """Write ranked files with every score to a CSV file.

    Raises
    ------
    UsageError
        Where it cannot be written.
    """
    try:
        with writing(out) as file:
            writer = csv.writer(file)
            for first, ranking in blocks:
                if first == 1:
                    writer.writerow(ranking.head())
                named = replace(ranking, images=[readable(name) for name in ranking.images])
                writer.writerows(safe_rows(named.rows(np.arange(len(named.images)), first)))
    except CheckpointError as error:
        raise UsageError(f"--out {error}") from None


def paint(
    request: ScoreRequest,
    painter: PiecePainter,
    ranking: Ranking,
    paths: Sequence[Path],
    watcher: Watcher,
) -> Gallery | None:
    """Write every file of a ranking, as it was painted with its piece, one of ``paths``.

    They stand in the order of the score that was painted. Nothing is written where no maps are
    asked for.

    Raises
    ------
    UsageError
        Where the folder cannot be written, or holds something else.
    """
    if request.maps is None:
        return None
    run = painter.run
    title = f"{run.results.title}: most anomalous first"
    try:
        return paint_ranking(
            request.maps,
            ranking.by(painter.name),
            len(ranking.images),
            painter.scale,
            painter.draw,
            run.recipe,
            title=f"{title}, by {painter.name}" if request.score else title,
            made=painter.made(paths),
            watcher=watcher,
        )
    except (CheckpointError, UsageError) as error:
        raise UsageError(f"--maps {error}") from None
