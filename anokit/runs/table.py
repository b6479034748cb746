"""A table of many finished runs: systems and scores down, contamination across."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from anokit.errors import UsageError
from anokit.results.differences import mean_auroc
from anokit.results.metrics import Estimate
from anokit.runs.gathering import GatheredRun, ScoredRun, find_runs, grouped

METRICS = {
    "auroc": "AUROC",
    "ap": "AP",
    "fpr95": "FPR at 95 % TPR",
    "f1": "F1",
    "fpr": "false alarms",
    "tpr": "finds",
}
"""What a table may be of; none that is selected by the labels."""


class Cell(BaseModel):
    """A system's figure at one contamination, over its runs."""

    mean: float
    deviation: float | None = None
    """standard deviation over seeds; None of one run"""
    low: float | None = None
    """ends of the 95 % interval; None where several runs have none together"""
    high: float | None = None
    seeds: list[int | None]
    published: float | None = None

    @property
    def holds_published(self) -> bool | None:
        """Return whether the published figure lies in the interval; None without one or other."""
        if self.published is None or self.low is None or self.high is None:
            return None
        return self.low <= self.published <= self.high


class Line(BaseModel):
    """A score of a system."""

    system: str
    score: str
    baseline: bool
    cells: dict[float, Cell]
    """by contamination γ"""
    remarks: list[int]
    """places in the table's ``remarks``"""


class ResultTable(BaseModel):
    """All of it."""

    metric: str
    gammas: list[float]
    lines: list[Line]
    remarks: list[str]
    sources: list[str]
    """of the published figures"""


def make_table(
    given: Sequence[Path], *, scores: Sequence[str] = (), metric: str = "auroc"
) -> ResultTable:
    """Gather finished runs at or below folders; runs that differ in seed alone share a cell.

    Parameters
    ----------
    given
        Run directories, or folders that hold some.
    scores
        Names of the scores to show; all where empty.
    metric
        A key of `METRICS`.

    Raises
    ------
    UsageError
        Where there is no finished run, none has such scores or labels, or two runs would be one.
    CheckpointError
        Where a run is damaged.
    """
    if metric not in METRICS:
        raise UsageError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
    runs = [one for run in find_runs(given) for one in _scored(run, scores, metric)]
    if not runs:
        wanted = f" with a score called {' or '.join(scores)}" if scores else ""
        raise UsageError(f"no finished run{wanted} has labelled test images of both classes")
    cells = grouped(runs, [run.key for run in runs])
    rows: dict[str, list[list[ScoredRun]]] = {}
    for cell in cells:
        rows.setdefault(_system_key(cell[0]), []).append(cell)
    remarks = list(dict.fromkeys(text for run in runs for text in run.remarks))
    names = _names([row[0][0] for row in rows.values()])
    lines = [
        Line(
            system=name,
            score=row[0][0].score,
            baseline=_is_baseline(row[0][0]),
            cells={_gamma(cell[0]): _cell(cell, metric) for cell in row},
            remarks=sorted(
                {remarks.index(text) for cell in row for run in cell for text in run.remarks}
            ),
        )
        for name, row in zip(names, rows.values(), strict=True)
    ]
    return ResultTable(
        metric=metric,
        gammas=sorted({gamma for line in lines for gamma in line.cells}),
        lines=lines,
        remarks=remarks,
        sources=list(
            dict.fromkeys(
                str(run.results.published_source)
                for run in runs
                if run.results.prints_published and metric == "auroc"
            )
        ),
    )


def _scored(run: GatheredRun, scores: Sequence[str], metric: str) -> list[ScoredRun]:
    """Return the scores of a run that are wanted and were measured, the recipe's first."""
    measured = [
        row.name
        for row in sorted(run.results.rows, key=lambda row: row.kind == "baseline")
        if row.metric(metric) is not None and (not scores or row.name in scores)
    ]
    return [run.scored(name) for name in measured]


def _is_baseline(run: ScoredRun) -> bool:
    return run.row is not None and run.row.kind == "baseline"


def _gamma(run: ScoredRun) -> float:
    return run.results.contamination


def _system_key(run: ScoredRun) -> str:
    """Return what the cells of a line share: all of a run's key but its contamination."""
    content, score = json.loads(run.key)
    content = copy.deepcopy(content)
    content.get("dataset", {}).pop("contamination", None)
    return json.dumps([content, score], sort_keys=True)


def _names(firsts: Sequence[ScoredRun]) -> list[str]:
    """Return what each line's system is called: its recipe, numbered where several share it."""
    seen: dict[tuple[str, str], int] = {}
    names = []
    for run in firsts:
        place = (run.results.recipe, run.score)
        seen[place] = seen.get(place, 0) + 1
        again = f" ({seen[place]})" if seen[place] > 1 else ""
        names.append(f"{run.results.recipe}{again}")
    return names


def _cell(runs: Sequence[ScoredRun], metric: str) -> Cell:
    found = [run.row.metric(metric) for run in runs if run.row is not None]
    values = [estimate.value for estimate in found if estimate is not None]
    interval = _interval(runs, metric)
    published = [
        run.row.published
        for run in runs
        if run.row is not None and run.results.prints_published and metric == "auroc"
    ]
    return Cell(
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        seeds=[run.results.seed for run in runs],
        published=published[0] if published else None,
    )


def _interval(runs: Sequence[ScoredRun], metric: str) -> Estimate | None:
    """Return the interval of a cell: a run's own, or, of several, one over seeds and images."""
    if len(runs) == 1:
        return runs[0].row.metric(metric) if runs[0].row is not None else None
    return mean_auroc([run.scores for run in runs]) if metric == "auroc" else None
