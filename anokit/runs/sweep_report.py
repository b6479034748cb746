"""The page on a sweep, from what its runs left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from anokit.errors import AnokitError, UsageError
from anokit.report.sweep import RunOfSweep, write_sweep_page
from anokit.results.rows import read_results
from anokit.runs.sweep_folder import CellState, Overview, SweepFolder
from anokit.runs.table import make_table


def write_sweep_report(folder: SweepFolder, overview: Overview) -> Path:
    """Write report.html of a sweep: its table, curves, and a link to each run's report.

    Raises
    ------
    CheckpointError
        Where a finished run is damaged or the page cannot be written.
    """
    table = laid_out = None
    with suppress(UsageError):  # nothing is finished, or nothing has labels
        table = make_table([folder.path], laid_out=False)
        laid_out = make_table([folder.path])
    if laid_out == table:
        laid_out = None
    runs = [_run(state, folder) for state in overview.states]
    write_sweep_page(overview.title, table, laid_out, runs, folder.report)
    return folder.report


def _run(state: CellState, folder: SweepFolder) -> RunOfSweep:
    report = state.run.report
    address = report.relative_to(folder.path).as_posix() if report.exists() else ""
    figure, value = "", None
    if state.status == "finished":
        with suppress(AnokitError):
            results = read_results(state.run)
            row = results.row(results.primary)
            auroc = row.metric("auroc") if row else None
            figure, value = (str(auroc), auroc.value) if auroc else ("", None)
    return RunOfSweep(state.cell.name, state.status, state.reason, address, figure, value)
