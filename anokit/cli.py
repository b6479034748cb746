"""The command line. Each command imports what it needs when it is called."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from anokit.cli_plugins import KindName, PluginFiles, commands
from anokit.errors import AnokitError
from anokit.version import __version__

app = typer.Typer(
    name="anokit",
    help="Find anomalous images when nobody has labelled the training set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in which [quick] is text
    context_settings={"help_option_names": ["-h", "--help"]},
)

LATEST = "latest"

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the recipe, such as backbone.images=60000 or scores.lo.weight=2. Repeatable.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Quick = Annotated[bool, typer.Option("--quick", help="Lay the recipe's [quick] table over it.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"anokit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Find anomalous images when nobody has labelled the training set."""


@app.command("run")
def run_command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file.")],
    quick: Quick = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the resolved recipe and its cost, and stop.")
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[DIR]",
            help="Go on with an interrupted run: the newest unfinished one, or DIR.",
        ),
    ] = None,
    settings: Settings = None,
    seed: Annotated[int | None, typer.Option(help="Seed, instead of the recipe's.")] = None,
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option(help="The run directory, instead of runs/RECIPE/TIME-ID.")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Train and evaluate what a recipe describes."""
    from anokit.registry import Registry
    from anokit.resolve import load_recipe

    changes = [*(settings or []), *([f"seed={seed}"] if seed is not None else [])]
    registry = Registry.load(plugin or [])
    loaded = load_recipe(recipe, registry, quick=quick, settings=changes)
    if resume is not None and out is not None:
        from anokit.errors import UsageError

        raise UsageError("--resume and --out: a resumed run stays where it is; drop one of them")

    from anokit.console import Console

    console = Console()
    console.recipe(loaded)
    if dry_run:
        from anokit.planning import plan

        console.notice(plan(loaded, device))
        return

    from anokit.run import run

    run(
        loaded,
        registry,
        console,
        device=device,
        out=out,
        resume=resume is not None,
        resume_from=None if resume in (None, LATEST) else Path(str(resume)),
    )


@app.command("score")
def score_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Images and folders.")],
    out: Annotated[Path | None, typer.Option(help="Write all scores to this CSV file.")] = None,
    maps: Annotated[
        Path | None, typer.Option(help="Write heat-map overlays to this folder.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of the table.")] = 20,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Score new images with a finished run, most anomalous first."""
    from anokit.console import Console
    from anokit.scorefiles import score_files

    score_files(
        run, paths, Console(), out=out, maps=maps, top=top, device=device, plugins=plugin or []
    )


@app.command("evaluate")
def evaluate_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    scores: Annotated[
        Path, typer.Option("--scores", metavar="FILE.toml", help="A file of [[scores]].")
    ],
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Add scores to a finished run, from its weights and its data, without training."""
    from anokit.console import Console
    from anokit.evaluate import evaluate

    evaluate(run, scores, Console(), device=device, plugins=plugin or [])


@app.command("check")
def check_command(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE…", help="Recipe files.")],
    settings: Settings = None,
    plugin: PluginFiles = None,
) -> None:
    """Check recipes, their [quick] tables too, without loading data or networks."""
    from anokit.registry import Registry
    from anokit.resolve import check_recipe

    registry = Registry.load(plugin or [])
    failed = 0
    for path in recipes:
        try:
            variants = check_recipe(path, registry, settings=settings or [])
        except AnokitError as error:
            failed += 1
            print(error, file=sys.stderr)
            continue
        notices = sorted({notice for recipe in variants for notice in recipe.notices})
        print(f"{path}: ok" + "".join(f"\n  {notice}" for notice in notices))
    if failed:
        raise typer.Exit(2)


@app.command("list-plugins")
def list_plugins_command(
    kind: Annotated[KindName | None, typer.Option(help="Only components of this kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if there are problems.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """List all components and the problems of plugins that could not be loaded."""
    from anokit import listing
    from anokit.registry import Registry

    registry = Registry.load(plugin or [])
    chosen = kind.value if kind else None
    if as_json:
        print(listing.as_json(registry, chosen))
    else:
        listing.print_table(registry, chosen)
        listing.print_problems(registry, debug=_debugging())
    if strict and registry.problems:
        raise typer.Exit(1)


@app.command("describe")
def describe_command(
    kind: Annotated[KindName, typer.Argument(metavar="KIND", help="A kind of component.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, bare or qualified.")],
    plugin: PluginFiles = None,
) -> None:
    """Describe one component: what it does, what it needs, its options."""
    from anokit import listing
    from anokit.registry import Registry

    listing.describe(Registry.load(plugin or []).get(kind.value, name))


@app.command("report")
def report_command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run directory.")],
) -> None:
    """Make the report of a finished run anew."""
    from anokit.report import write_report
    from anokit.rundir import RunDirectory

    RunDirectory(run).read_json("results.json")
    print(write_report(run))


app.add_typer(commands)


def _debugging() -> bool:
    return os.environ.get("ANOKIT_DEBUG", "") not in ("", "0")


def _with_resume_value(arguments: list[str]) -> list[str]:
    """Give a bare ``--resume`` its value, which the parser cannot leave out."""
    result = []
    for place, argument in enumerate(arguments):
        result.append(argument)
        following = arguments[place + 1] if place + 1 < len(arguments) else "-"
        if argument == "--resume" and (following.startswith("-") or following.endswith(".toml")):
            result.append(LATEST)
    return result


def _show_error(error: AnokitError) -> None:
    from anokit.faults import PluginFault

    print(f"{'' if error.exit_code == 130 else 'error: '}{error}", file=sys.stderr)
    if isinstance(error, PluginFault) and error.__cause__ is not None:
        print("".join(traceback.format_exception(error.__cause__)), file=sys.stderr, end="")
    elif _debugging():
        traceback.print_exc()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage or recipe, 130 interrupted."""
    # Threads that wait should sleep, not spin: where another process wants a core too, spinning
    # slowed training of small networks tenfold. Read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code: Any = app(
            _with_resume_value(sys.argv[1:] if arguments is None else arguments),
            standalone_mode=False,
        )
    except AnokitError as error:
        _show_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) left: nobody is there to complain to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        shown = getattr(error, "show", None)  # the parser's own usage errors
        if shown is None:
            raise
        shown()
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
