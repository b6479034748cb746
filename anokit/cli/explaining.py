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
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Regress this score of the run out too, beside the three. Repeatable.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Say how far a score only follows contrast, gradient and brightness of the images."""
    from anokit.cli.console import for_people
    from anokit.cli.ranking import say_of_run
    from anokit.runs.explain import explain

    with for_people(as_json) as console:
        found = explain(
            run,
            score or [],
            console,
            given=given or [],
            device=device,
            plugins=plugin or [],
            trust_plugins=trust_plugins,
        )
    content = found.as_dict()
    say_of_run(found.results, console)
    remarks = [text for one in content["explanations"] for text in one["remarks"]]
    for text in dict.fromkeys(remarks):
        console.warning(text)
    if as_json:
        import json

        print(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for one in found.explanations:
        console.rich.print(explanation_table(one))
        console.say(one.sentence)
    console.notice(f"also in the report: {found.directory.report}")


def explanation_table(found: Explanation) -> Table:
    """Return the figures of one score, a line each."""
    from rich.table import Table
    from rich.text import Text

    labelled = found.auroc is not None
    table = Table(title=Text(found.score), title_justify="left", caption_justify="left")
    table.add_column("")
    table.add_column("rank correlation, training images", justify="right")
    if labelled:
        table.add_column("AUROC, test images", justify="right")

    def line(what: str, correlation: object, auroc: object) -> None:
        cells = [correlation, auroc] if labelled else [correlation]
        table.add_row(Text(what), *("–" if cell is None else str(cell) for cell in cells))

    for one in found.statistics:
        alone = " alone" if labelled else ""
        line(f"{one.statistic}{alone}", one.correlation, one.auroc)
    if labelled:
        table.add_section()
        line(found.score, "", found.auroc)
    if found.regressed is not None:
        line(f"without {found.all_of_them}", "", found.regressed.auroc)
    for copies in found.copies:
        line(f"copies of equal {copies.statistic}", "", copies.auroc)
    table.caption = Text(" ".join(found.notes))
    return table
