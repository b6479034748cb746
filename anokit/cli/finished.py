"""Commands on finished runs: score, suspects, add-scores, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anokit.cli.options import Device, PluginFiles, TrustPlugins


def score_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Images, folders of them, or patterns.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write all scores to this CSV file.")] = None,
    maps: Annotated[
        Path | None, typer.Option(help="Write heat-map overlays to this folder.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Paint this score's maps, in its order, instead of the first one's.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of the table.")] = 20,
    false_alarms: Annotated[
        float | None,
        typer.Option(help="Share of normal images to flag at most, instead of the recipe's."),
    ] = None,
    false_discoveries: Annotated[
        float | None,
        typer.Option(help="Share of normal images among those flagged (Benjamini–Hochberg)."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file at --out that is no table of scores.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Score only every N-th piece; without it, merge what shards did."
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Hand the pieces to a Ray cluster, or to one that is started here.",
        ),
    ] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Score new images with a finished run, most anomalous first; again is go on."""
    from anokit.cli import ranking
    from anokit.cli.console import Console
    from anokit.data.names import shown
    from anokit.runs.score_files import ScoreRequest, score_files

    console = Console()
    request = ScoreRequest(
        run,
        paths,
        out=out,
        maps=maps,
        score=score or "",
        top=top,
        false_alarms=false_alarms,
        false_discoveries=false_discoveries,
        force=force,
        shard=shard,
        ray=ray,
        device=device,
        plugins=plugin or [],
        trust_plugins=trust_plugins,
    )
    found = score_files(request, console)
    if found is None:
        console.say(
            f"Shard {shard} is done. When all are, the same command without --shard writes {out}."
        )
        return
    ranking.show(found, console, top)
    if out:
        console.notice(f"all scores: {shown(str(out))}")
    if found.gallery:
        console.notice(
            f"{found.gallery.count:,} images to look through: {shown(str(found.gallery.page))}"
        )
    if found.left_out:
        raise typer.Exit(1)


def suspects_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    top: Annotated[
        int, typer.Option(min=1, max=1000, help="Images to show, the most unusual first.")
    ] = 40,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to, instead of RUN/suspects.")
    ] = None,
    write_exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="List their names in a new file, for dataset.exclude, after you have edited it.",
        ),
    ] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="List only those that are flagged.")
    ] = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Show the most unusual training images of a finished run, beside those most like them."""
    from anokit.cli.console import Console
    from anokit.cli.ranking import say_of_run
    from anokit.errors import UsageError
    from anokit.report.ranked_gallery import check_gallery
    from anokit.runs.suspects import (
        check_new,
        find_suspects,
        refit_command,
        write_exclude_list,
        write_suspects,
    )
    from anokit.store.targets import check_folder

    if flagged and write_exclude is None:
        raise UsageError("--flagged: says what --write-exclude lists; name a file with that")
    if write_exclude is not None:
        check_new(write_exclude)
    folder = out or run / "suspects"
    if out is not None or run.is_dir():
        check_folder("--out", folder)
        check_gallery(folder)
    console = Console()
    found = find_suspects(
        run,
        console,
        top=top,
        device=device,
        plugins=plugin or [],
        trust_plugins=trust_plugins,
    )
    say_of_run(found.opened.results, console)
    gallery = write_suspects(found, folder, console)
    console.say(
        f"The {gallery.count:,} most unusual of {len(found.ranking.images):,} training images; "
        "whether they are anomalous only a person can say."
    )
    console.notice(f"images to look through: {gallery.page}")
    if gallery.missing:
        path, reason = gallery.missing[0]
        more = f", and {len(gallery.missing) - 1:,} more" if len(gallery.missing) > 1 else ""
        console.warning(f"{path} cannot be shown: {reason}{more}")
    if write_exclude is None:
        return
    listed, unlisted = write_exclude_list(found, write_exclude, flagged=flagged)
    for name in unlisted:
        console.warning(f"{name!r} cannot stand in a list and is not in {write_exclude}")
    console.notice(f"{listed:,} images listed: {write_exclude}; delete the lines of normal ones")
    console.say(f"Then leave the others out with: {refit_command(found, write_exclude)}")


def add_scores_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    scores: Annotated[
        Path, typer.Option("--scores", metavar="FILE.toml", help="A file of [[scores]].")
    ],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put scores in the place of those added under their name."),
    ] = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Add scores to a finished run, from its weights and its data, without training."""
    from anokit.cli.console import Console
    from anokit.results.rows import read_results
    from anokit.runs.add_scores import add_scores
    from anokit.runs.scoring import ScoresFailed
    from anokit.store.run_directory import RunDirectory

    console = Console()
    try:
        directory = add_scores(
            run,
            scores,
            console,
            device=device,
            plugins=plugin or [],
            trust_plugins=trust_plugins,
            replace=replace,
        )
    except ScoresFailed as error:
        failed = RunDirectory(error.path)
        console.results(read_results(failed), failed)
        raise
    results = read_results(directory)
    console.results(results, directory)
    console.unread(results)
    if results.unread:
        raise typer.Exit(1)


def report_command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run directory.")],
) -> None:
    """Make the report of a finished run anew."""
    from anokit.report.html import write_report
    from anokit.results.rows import read_results
    from anokit.store.run_directory import RunDirectory

    directory = RunDirectory(run)
    directory.check_finished()
    read_results(directory)  # of what is no run nothing can be held
    with directory.locked():  # lest it write an old page over that of scores being added
        print(write_report(run))
