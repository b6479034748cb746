"""Tables of ranked files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from anokit.data.names import shown
from anokit.results.rows import SIMULATED
from anokit.watching import duration

if TYPE_CHECKING:
    from anokit.cli.console import Console
    from anokit.results.rows import Results
    from anokit.runs.score_files import ScoredFiles
    from anokit.store.score_table import Ranking

QUICK_RUN = (
    "this was a --quick run, on fewer images or with smaller networks than the recipe asks for: "
    "its scores show the path, not the quality"
)


def say_of_run(results: Results, console: Console) -> None:
    """Say what whoever reads figures of a run must know: simulated images, a quick run."""
    if results.data == "simulated":
        console.banner(SIMULATED)
    if results.quick:
        console.warning(QUICK_RUN)


def show(found: ScoredFiles, console: Console, top: int) -> None:
    """Show the ``top`` most anomalous files, and what whoever reads their scores must know."""
    run, ranked = found.run, found.ranked
    if run.results.data == "simulated":
        console.banner("This run was trained on SIMULATED images; its scores mean nothing here.")
    if run.results.quick:
        console.warning(QUICK_RUN)
    console.rich.print(ranking_table(ranked.ranking, top))
    if found.passed_over:
        console.notice(f"passed over: {found.passed_over}")
    if found.clipping.clipped:
        console.warning(
            f"{found.clipping.clipped:,} of {found.count:,} images hold values that are clipped, "
            f"{found.clipping.low:g} at the least and {found.clipping.high:g} at most; as in "
            "training, black_level and white_level under [dataset] say which become 0 and 255"
        )
    if found.clipping.blank:
        console.warning(
            f"{found.clipping.blank:,} of {found.count:,} images are of (nearly) one grey level as "
            "the networks see them; were the training images of another depth?"
        )
    if ranked.learnt:
        console.warning(
            f"the run learnt from {ranked.learnt:,} of these files, so they score lower here than "
            f"they should; how they rank among the others is in {run.directory.ranking}"
        )
    for text in dict.fromkeys(text for row in run.results.rows for text in row.caveats):
        console.warning(text)
    for name, reason in found.left_out:
        console.warning(f"{shown(name)} is left out: {shown(reason)}")
    console.say(
        f"{ranked.flagged:,} of {found.count:,} images lie above the {ranked.rule}; no label was "
        "read."
    )
    new = found.count - found.resumed
    speed = f", {new / found.seconds:,.0f} images/s" if new > 0 else ""
    there = f"; {found.resumed:,} were there already" if found.resumed else ""
    missing = f"; {len(found.left_out):,} could not be read" if found.left_out else ""
    console.say(
        f"{found.count:,} images scored in {duration(found.seconds)}{speed}{there}{missing}."
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
        table.add_row(str(rank), escape(shown(found.images[row])), *values, p_value, flagged)
    return table
