"""Commands on several finished runs: compare, table, figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anokit.cli.options import Device, PluginFiles, TrustPlugins

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
    from anokit.store.targets import check_file

    for option, path in (("--json", json), ("--html", html)):
        if path is not None:
            check_file(option, path)
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
        Literal[
            "auroc",
            "ap",
            "fpr95",
            "f1",
            "fpr",
            "tpr",
            "regressed",
            "equal-contrast",
            "equal-gradient",
            "contrast",
            "gradient",
            "brightness",
        ],
        typer.Option(help="What the table is of; from regressed on, of scores that are explained."),
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
    from anokit.store.targets import check_file

    if out is not None:
        check_file("--out", out)
    text = FORMATS[style](make_table(runs, scores=score or [], metric=metric))
    if out is None:
        print(text, end="")
        return
    from anokit.store.files import write_text

    write_text(out, text)


def figures_command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="DIR…", help="Sweeps, finished runs, or folders of them."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write to, instead of DIR/figures, or, of several, figures."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Draw this kind alone: tsne, histograms, losses, curves, matches, contamination. "
            "Repeatable, or several with commas.",
        ),
    ] = None,
    style: Annotated[
        Literal["svg", "pdf"], typer.Option("--format", help="Kind of vector file.")
    ] = "svg",
    images: Annotated[
        int, typer.Option(min=12, help="Test images of each run in a panel at most.")
    ] = 512,
    queries: Annotated[
        int, typer.Option(min=1, max=16, help="Queries beside their closest matches.")
    ] = 8,
    contamination: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE", help="Have panels of this share alone, such as 0.02. Repeatable."
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RECIPE=WORDS", help="What the runs of a recipe are called. Repeatable."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the captions to this file, too.")] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    trust_plugins: TrustPlugins = False,
) -> None:
    """Draw figures for a paper from finished runs: vector files, and captions that say of what."""
    from anokit.cli.console import Console
    from anokit.runs.figure_kinds import KINDS, Wish
    from anokit.runs.figures import CAPTIONS, draw_figures
    from anokit.store.targets import check_file, check_folder

    kinds = [kind.strip() for text in only or [] for kind in text.split(",") if kind.strip()]
    wish = Wish(
        kinds=kinds or KINDS,
        style=style,
        images=images,
        queries=queries,
        names=dict(_named(text) for text in name or []),
        gammas=contamination or [],
    )
    folder = out or (runs[0] / "figures" if len(runs) == 1 else Path("figures"))
    if out is not None:
        check_folder("--out", out)
    if json is not None:
        check_file("--json", json)
    console = Console()
    found = draw_figures(
        runs,
        folder,
        wish,
        console,
        device=device,
        plugins=plugin or [],
        trust_plugins=trust_plugins,
    )
    for one in found.figures:
        console.say(f"{folder / one.file}: {len(one.panels)} {one.unit}")
        for reason in one.left_out:
            console.notice(f"{one.kind}: left out: {reason}")
    for kind, reason in found.not_drawn.items():
        console.warning(f"{kind} is not drawn: {reason}")
    console.notice(f"what each shows: {folder / CAPTIONS}")
    if json:
        from anokit.store.files import write_json

        write_json(json, found.model_dump(mode="json"))
        console.notice(f"the same as JSON: {json}")


def _named(text: str) -> tuple[str, str]:
    """Return recipe and words of ``--name``; raise `UsageError` where it is not RECIPE=WORDS."""
    from anokit.errors import UsageError

    recipe, equals, words = text.partition("=")
    if not (equals and recipe.strip() and words.strip()):
        raise UsageError(f"--name {text}: expected RECIPE=WORDS, such as ours_cifar_car=Ours")
    return recipe.strip(), words.strip()


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
