"""Tables of ranked files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from anokit.cli.console import Console
    from anokit.runs.score_files import ScoredFiles
    from anokit.store.score_table import Ranking

QUICK_RUN = (
    "this was a --quick run, on fewer images or with smaller networks than the recipe asks for: "
    "its scores show the path, not the quality"
)

SHOWN_UNREADABLE = 5
"""Files that could not be read and are named one by one."""


def show(found: ScoredFiles, console: Console, top: int) -> None:
    """Show the ``top`` most anomalous files, and what whoever reads their scores must know."""
    run = found.run
    if run.results.data == "simulated":
        console.banner("This run was trained on SIMULATED images; its scores mean nothing here.")
    if run.results.quick:
        console.warning(QUICK_RUN)
    console.rich.print(ranking_table(found.ranking, top))
    for path, reason in found.unreadable[:SHOWN_UNREADABLE]:
        console.warning(f"{path} is left out: {reason}")
    if len(found.unreadable) > SHOWN_UNREADABLE:
        more = len(found.unreadable) - SHOWN_UNREADABLE
        console.warning(f"… and {more} more files that cannot be read")
    if found.learnt:
        console.warning(
            f"the run learnt from {found.learnt:,} of these files, so they score lower here than "
            f"they should; how they rank among the others is in {run.directory.ranking}"
        )
    for text in dict.fromkeys(text for row in run.results.rows for text in row.caveats):
        console.warning(text)
    flagged = int(found.judged[found.primary].flagged.sum())
    console.say(
        f"{flagged:,} of {len(found.files):,} images lie above the {found.rule}; no label was read."
    )


def ranking_table(found: Ranking, top: int) -> Table:
    """Return the ``top`` most anomalous images as a table, with every score."""
    table = Table(title="Most anomalous first", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("image", overflow="fold")
    for name in found.columns:
        table.add_column(name, justify="right")
    table.add_column("p", justify="right")
    table.add_column("flagged")
    judged = next(iter(found.judged.values()))
    for rank, row in enumerate(found.order[:top], start=1):
        values = [f"{column[row]:.4g}" for column in found.columns.values()]
        p_value = f"{judged.p_values[row]:.2g}"
        flagged = "yes" if judged.flagged[row] else ""
        table.add_row(str(rank), escape(found.images[row]), *values, p_value, flagged)
    return table
