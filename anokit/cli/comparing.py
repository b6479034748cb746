"""Commands on several finished runs: compare, table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from anokit.results.comparison import Comparison


def compare_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN…",
            help="Finished run directories, each alone or as RUN:SCORE. Runs that differ in their "
            "seed alone are one system.",
        ),
    ],
    score: Annotated[
        str | None, typer.Option(help="The score to compare, instead of each run's first one.")
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Compare all with each other, not with the first.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 10_000,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file, too.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that opens offline, too.")] = None,
) -> None:
    """Compare runs on the same test images: differences of AUROC, with intervals and tests."""
    from anokit.cli.console import Console
    from anokit.runs.compare import compare

    found = compare(runs, score=score, all_pairs=all_pairs, resamples=resamples)
    console = Console()
    console.rich.print(systems_table(found))
    console.rich.print(pairs_table(found))
    if json:
        from anokit.store.files import write_json

        write_json(json, found.model_dump(mode="json"))
        console.notice(f"all figures: {json}")
    if html:
        from anokit.report.comparison import write_comparison

        write_comparison(found, html)
        console.notice(f"page: {html}")


def table_command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Finished run directories, or folders of them."),
    ],
    score: Annotated[
        list[str] | None, typer.Option(help="Show this score alone; may be repeated.")
    ] = None,
    metric: Annotated[
        Literal["auroc", "ap", "fpr95", "f1", "fpr", "tpr"],
        typer.Option(help="What the table is of."),
    ] = "auroc",
    style: Annotated[
        Literal["markdown", "latex", "csv"],
        typer.Option("--format", help="How it is written."),
    ] = "markdown",
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead.")] = None,
) -> None:
    """Make one table of many runs: scores down, contamination across, mean over seeds."""
    from anokit.runs.table import make_table
    from anokit.runs.table_formats import FORMATS

    text = FORMATS[style](make_table(runs, scores=score or [], metric=metric))
    if out is None:
        print(text, end="")
        return
    from anokit.store.files import write_text

    write_text(out, text)


def systems_table(found: Comparison) -> Table:
    """Return what is compared, with the AUROC of each."""
    from rich.table import Table

    table = Table(title="Systems", title_justify="left")
    table.add_column("")
    table.add_column("system", overflow="fold")
    table.add_column("runs", justify="right")
    table.add_column("AUROC", justify="right")
    table.add_column("remarks", overflow="fold")
    for letter, system in zip(found.letters.values(), found.systems, strict=True):
        remarks = "; ".join(system.remarks)
        table.add_row(letter, system.name, str(len(system.runs)), system.figure, remarks)
    return table


def pairs_table(found: Comparison) -> Table:
    """Return the differences."""
    from rich.table import Table

    table = Table(title="Differences", title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("AUROC", "p", "p, Holm"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in words", overflow="fold")
    known = found.letters
    for pair in found.pairs:
        table.add_row(
            f"{known[pair.second]} − {known[pair.first]}",
            pair.figure,
            f"{pair.p:.2g}",
            f"{pair.p_holm:.2g}",
            pair.verdict,
        )
    table.caption = found.note
    return table
