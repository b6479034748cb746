"""Commands on the recipes that plugins bring along: recipes, recipes show, recipes copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anokit.cli.options import PluginFiles, debugging
from anokit.errors import UsageError

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A name of anokit recipes, bare or qualified.")
]


def recipes_command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """List the recipes that come with the installed plugins; run one by its name."""
    if context.invoked_subcommand:
        if as_json or plugin:
            raise UsageError(
                f"anokit recipes: write options behind {context.invoked_subcommand}, not before it"
            )
        return
    from anokit.cli import listing
    from anokit.recipe.shipped import describe
    from anokit.registry.lookup import Registry

    registry = Registry.load(plugin or [])
    found = [describe(recipe, registry) for recipe in registry.recipes]
    if as_json:
        print(listing.recipes_as_json(found, registry))
    else:
        listing.print_recipes(found, registry)
        listing.print_problems(registry, debug=debugging())


def show_recipe_command(name: Name, plugin: PluginFiles = None) -> None:
    """Print a recipe that comes with a plugin."""
    from anokit.recipe.changes import read_toml
    from anokit.recipe.finding import find_shipped
    from anokit.registry.lookup import Registry

    text, _ = read_toml(find_shipped(name, Registry.load(plugin or [])).path)
    print(text, end="")


def copy_recipe_command(
    name: Name,
    to: Annotated[
        Path, typer.Argument(metavar="DEST", help="A file to write, or a folder.")
    ] = Path(),
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    plugin: PluginFiles = None,
) -> None:
    """Copy a recipe that comes with a plugin, to change it."""
    from anokit.recipe.finding import find_shipped
    from anokit.recipe.shipped import copy_recipe
    from anokit.registry.lookup import Registry
    from anokit.store.targets import check_file

    registry = Registry.load(plugin or [])
    shipped = find_shipped(name, registry)
    check_file("DEST", to / shipped.path.name if to.is_dir() else to)
    print(copy_recipe(shipped, to, registry, force=force))
