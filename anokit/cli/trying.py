"""The command try: a score that is being written, over a run that is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anokit.cli.options import Device, PluginFiles, TrustPlugins


def try_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.py", help="A one-file plugin that offers a score.")
    ],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Try this score of the file alone.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Set an option of it. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the page there, not in a temporary folder."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Try the score of a one-file plugin over a finished run, which stays as it is."""
    from anokit.cli.console import for_people
    from anokit.cli.histogram import histogram
    from anokit.cli.ranking import say_of_run
    from anokit.cli.tables import results_table
    from anokit.runs.try_scores import try_scores

    with for_people(as_json) as console:
        found = try_scores(
            file,
            run,
            console,
            name=name or "",
            settings=settings or [],
            out=out,
            device=device,
            plugins=plugin or [],
            trust_plugins=trust_plugins,
        )
    results = found.results
    say_of_run(results, console)
    if as_json:
        import json

        print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        console.rich.print(results_table(results, found.flagged))
        plain = not console.rich.encoding.lower().startswith("utf")
        for one in found.names:
            row = results.row(one)
            console.rich.print()
            console.say(f"{one}, {found.images}, each group by its own scale:")
            threshold = row.threshold if row else None
            console.rich.print(histogram(found.groups[one], threshold, plain=plain))
        for text in results.warnings:
            console.warning(text)
        console.say(f"Threshold: {results.selection.threshold}.", dim=True)
    console.say(f"Page: {found.page}")
    if show:
        import webbrowser

        webbrowser.open(found.page.resolve().as_uri())
    if results.failed:
        raise typer.Exit(1)
    console.say("Nothing was written into the run; anokit add-scores adds a score to it for good.")
