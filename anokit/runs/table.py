"""A table of many finished runs: systems and scores down, contamination across, or as laid out."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anokit.errors import UsageError
from anokit.recipe.sweep_tables import SWEEP_FILE, Layout, Selector, read_sweep_tables
from anokit.results.differences import mean_auroc
from anokit.results.metrics import Estimate
from anokit.results.result_table import AT_THRESHOLD, METRICS, Cell, Line, ResultTable
from anokit.runs.gathering import GatheredRun, ScoredRun, chosen_of, find_runs, grouped, remarks_of
from anokit.runs.naming import told_apart
from anokit.runs.sweep_folder import SweepFolder


def make_table(
    given: Sequence[Path],
    *,
    scores: Sequence[str] = (),
    metric: str = "auroc",
    laid_out: bool = True,
) -> ResultTable:
    """Gather finished runs at or below folders; runs that differ in seed alone share a cell.

    A sweep whose file has a ``[layout]`` is laid out by it, unless ``scores`` are named.

    Parameters
    ----------
    given
        Run directories, or folders that hold some.
    scores
        Names of the scores to show; all where empty.
    metric
        A key of `METRICS`.
    laid_out
        Whether a sweep's layout is followed.

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
    layout = _layout(given) if laid_out and not scores else None
    variants = _variants(given)
    if layout:
        columns, lines = _laid_out(layout, runs, metric, variants)
    else:
        columns, lines = _by_system(runs, metric, variants)
    said = [remarks_of(members) for _, members in lines]
    remarks = list(dict.fromkeys(text for texts in said for text in texts))
    for (line, _), texts in zip(lines, said, strict=True):
        line.remarks = sorted(map(remarks.index, texts))
    shown = [run for _, members in lines for run in members]
    return ResultTable(
        metric=metric,
        columns=columns,
        lines=[line for line, _ in lines],
        remarks=remarks,
        sources=list(
            dict.fromkeys(
                str(run.results.published_source)
                for run in shown
                if run.results.prints_published and metric == "auroc"
            )
        ),
        chosen=chosen_of(shown, threshold=metric in AT_THRESHOLD),
    )


def _by_system(
    runs: Sequence[ScoredRun], metric: str, variants: Mapping[Path, str]
) -> tuple[list[str], list[tuple[Line, list[ScoredRun]]]]:
    """Return the columns, one for each contamination, and a line for each score of a system."""
    runs = _each_once(runs)
    cells = grouped(runs, [run.key for run in runs])
    rows: dict[str, list[list[ScoredRun]]] = {}
    for cell in cells:
        rows.setdefault(_system_key(cell[0]), []).append(cell)
    names = _names([row[0][0] for row in rows.values()], variants)
    lines = [
        (
            Line(
                system=name,
                score=row[0][0].score,
                baseline=_is_baseline(row[0][0]),
                primary=row[0][0].score == row[0][0].results.primary,
                cells={_head(metric, _gamma(cell[0])): _cell(cell, metric) for cell in row},
                remarks=[],
            ),
            [run for cell in row for run in cell],
        )
        for name, row in zip(names, rows.values(), strict=True)
    ]
    lines.sort(key=lambda one: one[0].baseline)
    gammas = sorted({_gamma(cell[0]) for cell in cells})
    return [_head(metric, gamma) for gamma in gammas], lines


def _head(metric: str, gamma: float) -> str:
    return f"{METRICS[metric]}, γ = {100 * gamma:g} %"


def _layout(given: Sequence[Path]) -> Layout | None:
    """Return the layout of the sweep whose folder is meant, if it has one."""
    if len(given) != 1 or not (given[0] / SWEEP_FILE).is_file():
        return None
    return read_sweep_tables(given[0] / SWEEP_FILE)[1].layout


def _variants(given: Sequence[Path]) -> Mapping[Path, str]:
    """Return the variant of each run where a sweep that has some is meant."""
    if len(given) != 1 or not (given[0] / SWEEP_FILE).is_file():
        return {}
    _, tables = read_sweep_tables(given[0] / SWEEP_FILE)
    return SweepFolder(given[0]).variants() if tables.variants else {}


def _laid_out(
    layout: Layout, runs: Sequence[ScoredRun], metric: str, variants: Mapping[Path, str]
) -> tuple[list[str], list[tuple[Line, list[ScoredRun]]]]:
    """Return columns and lines as a sweep's file lays them out; a place without runs stays empty.

    Raises
    ------
    UsageError
        Where runs of several systems would share a place.
    """
    # Rows name recipes and variants, so a baseline stands in the row of each that has it.
    keys = [f"{run.results.recipe} {variants.get(run.path, '')} {run.key}" for run in runs]
    cells = grouped(runs, keys)
    lines = []
    for row in layout.rows:
        found: dict[str, list[ScoredRun]] = {}
        for column in layout.columns:
            fitting = [
                cell
                for cell in cells
                if _fits(cell[0], row, column, variants.get(cell[0].path, ""))
            ]
            if len(fitting) > 1:
                names = ", ".join(sorted({str(cell[0].path) for cell in fitting})[:3])
                raise UsageError(
                    f"layout: several systems fit row {row.name!r}, column {column.name!r}: "
                    f"{names}; let row or column name recipe, score, contamination or variant"
                )
            if fitting:
                found[column.name] = fitting[0]
        line = Line(
            system=row.name,
            score="",
            baseline=bool(found) and all(_is_baseline(cell[0]) for cell in found.values()),
            cells={name: _cell(cell, metric) for name, cell in found.items()},
            remarks=[],
        )
        lines.append((line, [run for cell in found.values() for run in cell]))
    return [column.name for column in layout.columns], lines


def _fits(run: ScoredRun, row: Selector, column: Selector, variant: str) -> bool:
    """Return whether a run's score belongs where a row meets a column."""
    score = row.score or column.score or run.results.primary
    return run.score == score and all(
        (one.score is None or one.score == run.score)
        and (one.recipes is None or run.results.recipe in one.recipes)
        and (one.contamination is None or one.contamination == _gamma(run))
        and (one.variant is None or one.variant == variant)
        for one in (row, column)
    )


def _scored(run: GatheredRun, scores: Sequence[str], metric: str) -> list[ScoredRun]:
    """Return the scores of a run that are wanted and were measured, the recipe's first."""
    measured = [
        row.name
        for row in sorted(run.results.rows, key=lambda row: row.kind == "baseline")
        if run.results.figure(row.name, metric) is not None and (not scores or row.name in scores)
    ]
    return [run.scored(name) for name in measured]


def _each_once(runs: Sequence[ScoredRun]) -> list[ScoredRun]:
    """Return runs without the repetitions of a baseline that several systems of a seed bring."""
    kept: dict[tuple[object, ...], ScoredRun] = {}
    for place, run in enumerate(runs):
        kept.setdefault((run.key, run.results.seed) if run.stands_alone else (place,), run)
    return list(kept.values())


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


def _names(firsts: Sequence[ScoredRun], variants: Mapping[Path, str]) -> list[str]:
    """Return what each line's system is called: recipe and variant, with what else differs."""
    contents = [json.loads(_system_key(run))[0] for run in firsts]
    # The lines of a system are its scores and share a name; a baseline is a system of its own.
    systems: dict[str, tuple[str, dict[str, Any]]] = {}
    keys = []
    for run, content in zip(firsts, contents, strict=True):
        alone = run.stands_alone
        variant = variants.get(run.path)
        system = f"{run.results.recipe}, {variant}" if variant else run.results.recipe
        name = f"baseline {run.score}" if alone else system
        own = {key: value for key, value in content.items() if alone or key != "scores"}
        keys.append(json.dumps([name, own], sort_keys=True))
        systems[keys[-1]] = (name, own)
    called = dict(zip(systems, told_apart(*zip(*systems.values(), strict=True)), strict=True))
    return [
        called[key].replace(f"baseline {run.score}", "baseline")
        if run.stands_alone
        else called[key]
        for run, key in zip(firsts, keys, strict=True)
    ]


def _cell(runs: Sequence[ScoredRun], metric: str) -> Cell:
    found = [run.results.figure(run.score, metric) for run in runs]
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
        contamination=_gamma(runs[0]),
        score=runs[0].score,
    )


def _interval(runs: Sequence[ScoredRun], metric: str) -> Estimate | None:
    """Return the interval of a cell: a run's own, or, of several, one over seeds and images."""
    if len(runs) == 1:
        return runs[0].results.figure(runs[0].score, metric)
    return mean_auroc([run.scores for run in runs]) if metric == "auroc" else None
