"""The command explain: what scores of a finished run follow besides anomaly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anokit.cli.options import Device, PluginFiles, TrustPlugins

if TYPE_CHECKING:
    from rich.table import Table

    from anokit.results.explanations import Explanation


def explain_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    score: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A score, added ones and baselines too, instead of the first one. Repeatable.",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file, too.")] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Say how far a score only follows contrast, gradient and brightness of the images."""
    from anokit.cli.console import Console
    from anokit.cli.ranking import QUICK_RUN
    from anokit.runs.explain import explain

    console = Console()
    found = explain(
        run,
        score or [],
        console,
        device=device,
        plugins=plugin or [],
        trust_plugins=trust_plugins,
    )
    if found.results.data == "simulated":
        console.banner(found.results.notices[0])
    if found.results.quick:
        console.warning(QUICK_RUN)
    for one in found.explanations:
        console.rich.print(explanation_table(one))
        console.say(one.sentence)
    rows = {row.name: row for row in found.results.rows}
    caveats = [text for one in found.explanations for text in rows[one.score].caveats]
    for text in dict.fromkeys(caveats):
        console.warning(text)
    if json:
        found.write(json)
        console.notice(f"all figures: {json}")
    console.notice(f"also in the report: {found.directory.report}")


def explanation_table(found: Explanation) -> Table:
    """Return the figures of one score, a line each."""
    from rich.table import Table
    from rich.text import Text

    def estimate(value: object) -> str:
        return "–" if value is None else str(value)

    table = Table(title=Text(found.score), title_justify="left", caption_justify="left")
    table.add_column("")
    table.add_column("rank correlation, training images", justify="right")
    if found.auroc is not None:
        table.add_column("AUROC, test images", justify="right")
    for one in found.statistics:
        way = "minus the " if one.falling else ""
        row = [f"{way}{one.statistic} alone", estimate(one.correlation), estimate(one.auroc)]
        table.add_row(*row[: len(table.columns)])
    if found.auroc is not None:
        table.add_section()
        table.add_row(Text(found.score), "", str(found.auroc))
        if found.regressed is not None:
            table.add_row("the three regressed out", "", str(found.regressed.auroc))
        for copies in found.copies:
            table.add_row(f"copies of equal {copies.statistic}", "", str(copies.auroc))
    table.caption = Text(" ".join(found.notes))
    return table
