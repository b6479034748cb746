"""``anokit scan``: the most anomalous images of a folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from anokit.cli.options import Device, PluginFiles, Settings, Watch


def scan_command(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="A folder of images; or files, patterns, folders."),
    ],
    top: Annotated[
        int, typer.Option(min=1, help="Images that are listed, and painted in overlays/.")
    ] = 20,
    out: Annotated[
        Path | None, typer.Option(help="The run directory, instead of runs/scan/TIME-ID.")
    ] = None,
    recipe: Annotated[
        Path, typer.Option(help="Another recipe for folders, a file or a name of anokit recipes.")
    ] = Path("your_folder"),
    false_alarms: Annotated[
        float | None,
        typer.Option(help="Share of normal images to flag at most, instead of the recipe's."),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Leave the images out that this file lists."),
    ] = None,
    settings: Settings = None,
    device: Device = "auto",
    watch: Watch = None,
    plugin: PluginFiles = None,
) -> None:
    """Rank the images of a folder, the most anomalous first: no labels, no recipe, no training."""
    from anokit.registry.lookup import Registry
    from anokit.runs.scan import scan_recipe
    from anokit.runs.watchers import choose, watched
    from anokit.store.finding import new_path

    out = out or new_path("scan")
    registry = Registry.load(plugin or [])
    watchers = choose(watch or [], registry)
    made = scan_recipe(
        paths,
        registry,
        out,
        recipe=recipe,
        top=top,
        false_alarms=false_alarms,
        exclude=exclude,
        settings=settings or [],
    )
    from anokit.cli.console import Console
    from anokit.cli.ranking import ranking_table

    console = Console()
    console.recipe(made)

    from anokit.results.rows import read_results
    from anokit.runs.plugins_now import plugin_words
    from anokit.runs.run import run
    from anokit.runs.scoring import ScoresFailed
    from anokit.store.run_directory import RunDirectory

    failed: ScoresFailed | None = None
    with watched(console, watchers) as watcher:
        try:
            directory = run(made, registry, watcher, device=device, out=out)
        except ScoresFailed as error:
            failed, directory = error, RunDirectory(error.path)
    if not directory.finished:
        return
    results = read_results(directory)
    if results.rows[0].metrics:
        console.results(results, directory)
    else:
        for text in results.told:
            console.warning(text)
    found = directory.read_ranking()
    console.rich.print()
    console.rich.print(ranking_table(found, top))
    name, judged = next(iter(found.judged.items()))
    console.say(
        f"{int(judged.flagged.sum()):,} of {len(found.images):,} images are flagged; the threshold "
        f"of {name} is {judged.threshold:.4g}: {results.selection.threshold}."
    )
    for what, path in (
        ("All images, all scores", directory.ranking),
        ("Painted, to look through", directory.overlays / "index.html"),
        ("Report", directory.report),
        ("Recipe", directory.path / "recipe.toml"),
    ):
        if path.exists():
            console.say(f"{what}: {path}")
    of = shlex.join([str(directory.path), *plugin_words(plugin)])
    console.say(f"Beside the images most like them, to be judged: anokit suspects {of}")
    console.say(f"Score more images by what was learnt here: anokit score {of} PATH…")
    console.unread(results)
    if failed:
        raise failed
    if results.unread:
        raise typer.Exit(1)
