"""Commands on recipes: run, check."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from anokit.cli.options import Device, PluginFiles, Quick, Settings, Watch
from anokit.errors import AnokitError, RecipeError
from anokit.watching import NOBODY

LATEST = "latest"
"""What ``--resume`` without a directory means."""

A_RECIPE = "A recipe file, or a name of anokit recipes where no such file is."
SOME_RECIPES = "Recipe files, or names of anokit recipes where no such files are."


def run_command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help=A_RECIPE)],
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
    watch: Watch = None,
    plugin: PluginFiles = None,
) -> None:
    """Train and score what a recipe describes."""
    from anokit.recipe.reading import load_recipe
    from anokit.registry.lookup import Registry
    from anokit.runs.plugins_now import check_there
    from anokit.runs.watchers import choose, watched
    from anokit.store.finding import recorded_plugins

    changes = [*(settings or []), *([f"seed={seed}"] if seed is not None else [])]
    registry = Registry.load(plugin or [])
    began = None if resume in (None, LATEST) else Path(str(resume))
    run_of, made = (None if resume is None else recorded_plugins(recipe.stem, began)) or (None, {})
    try:
        loaded = load_recipe(
            recipe, registry, quick=quick, settings=changes, recorded=frozenset(made)
        )
    except RecipeError:
        if run_of is not None:  # what is missing is told better by what the run was begun with
            check_there(run_of, made, [*made], registry)
        raise
    watchers = choose(watch or [], registry)
    if resume is not None and out is not None:
        from anokit.errors import UsageError

        raise UsageError("--resume and --out: a resumed run stays where it is; drop one of them")

    from anokit.cli.console import Console

    console = Console()
    console.recipe(loaded)
    if dry_run:
        from anokit.runs.plan import plan

        console.notice(plan(loaded, device))
        return

    from anokit.results.rows import read_results
    from anokit.runs.run import run
    from anokit.runs.scoring import ScoresFailed
    from anokit.store.run_directory import RunDirectory

    # Beside torchrun's first process the others are not heard.
    first = os.environ.get("RANK", "0") == "0"
    with watched(console if first else NOBODY, watchers if first else []) as watcher:
        try:
            directory = run(
                loaded,
                registry,
                watcher,
                device=device,
                out=out,
                resume=resume is not None,
                resume_from=began,
            )
        except ScoresFailed as error:
            failed = RunDirectory(error.path)
            console.results(read_results(failed), failed)
            raise
        if not directory.finished:
            return
        results = read_results(directory)
        console.results(results, directory)
        console.unread(results)
    if results.unread:
        raise typer.Exit(1)


def check_command(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE…", help=SOME_RECIPES)],
    settings: Settings = None,
    plugin: PluginFiles = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit 2 for notices, plugins that do not load and choices by test labels, too.",
        ),
    ] = False,
) -> None:
    """Check recipes, their [quick] tables too, without loading data or networks."""
    from anokit.recipe.reading import check_recipe
    from anokit.registry.lookup import Registry

    registry = Registry.load(plugin or [])
    failed = 0
    if strict:
        for problem in registry.problems:
            failed += 1
            print(f"{problem.plugin}: {problem.message}", file=sys.stderr)
    for path in recipes:
        try:
            variants = check_recipe(path, registry, settings=settings or [])
        except AnokitError as error:
            failed += 1
            print(error, file=sys.stderr)
            continue
        notices = sorted({notice for recipe in variants for notice in recipe.notices})
        if strict and any(recipe.training.selection != "last" for recipe in variants):
            notices.append("training.selection: the weights are chosen by test labels")
        failed += strict and bool(notices)
        word = "not ok" if strict and notices else "ok"
        print(f"{path}: {word}" + "".join(f"\n  {notice}" for notice in notices))
    if failed:
        raise typer.Exit(2)
