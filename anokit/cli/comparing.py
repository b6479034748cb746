"""Commands on several finished runs: compare, table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from anokit.runs.compare import Comparison, System


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
    for letter, system in zip(letters(found).values(), found.systems, strict=True):
        remarks = "; ".join(system.remarks)
        table.add_row(letter, system.name, str(len(system.runs)), mean_and_spread(system), remarks)
    return table


def letters(found: Comparison) -> dict[str, str]:
    """Return a letter for each system, or after the 26th a number, by its name."""
    names = [system.name for system in found.systems]
    return {name: chr(65 + n) if n < 26 else str(n + 1) for n, name in enumerate(names)}


def pairs_table(found: Comparison) -> Table:
    """Return the differences."""
    from rich.table import Table

    table = Table(title="Differences", title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("AUROC", "p", "p, Holm"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in words", overflow="fold")
    known = letters(found)
    for pair in found.pairs:
        gap = pair.auroc
        table.add_row(
            f"{known[pair.second]} − {known[pair.first]}",
            f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]",
            f"{pair.p:.2g}",
            f"{pair.p_holm:.2g}",
            pair.verdict,
        )
    spread = (
        " Systems of one run are that run: the spread between seeds is not in its differences."
        if any(len(system.runs) < 2 for system in found.systems)
        else ""
    )
    tests = " and ".join(sorted({pair.test for pair in found.pairs}))
    table.caption = (
        f"{found.normal:,} normal and {found.anomalous:,} anomalous test images, the same ones for "
        f"both; 95 % paired bootstrap, {found.resamples:,} resamples; p: {tests}.{spread}"
    )
    return table


def mean_and_spread(system: System) -> str:
    """Return the mean AUROC over the runs of a system, with the standard deviation of several."""
    import statistics

    mean = statistics.fmean(system.auroc)
    if len(system.auroc) < 2:
        return f"{mean:.3f}"
    return f"{mean:.3f} ± {statistics.stdev(system.auroc):.3f}"
