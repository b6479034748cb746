"""Commands for authors of plugins and of documentation; `anokit.cli` takes them in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Add a one-file plugin; may be repeated."),
]

commands = typer.Typer(add_completion=False)


class KindName(StrEnum):
    """Kinds of components, for the command line."""

    BACKBONE = "backbone"
    ENCODER_LOSS = "encoder-loss"
    SCORE = "score"
    DATASET = "dataset"


@commands.command("new-plugin")
def new_plugin_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as acme-angle.")],
    kind: Annotated[KindName, typer.Option(help="What the plugin offers.")] = KindName.SCORE,
    out: Annotated[Path | None, typer.Option(help="The folder to make, instead of NAME.")] = None,
    anokit: Annotated[
        Path | None, typer.Option(help="A checkout of anokit for uv to use in its place.")
    ] = None,
) -> None:
    """Write a small, complete, publishable package to start a plugin from."""
    from anokit.scaffold import names_for, write_plugin

    folder, *files = write_plugin(name, kind.value, out, anokit)
    for path in files:
        print(path)
    package = names_for(name).package
    print("\nNext:")
    print(f"  cd {folder}")
    print(
        "  python -m pytest          (in an environment with pytest and anokit; or: uv run pytest)"
    )
    print(f"  pip install -e . && anokit check-plugin {package}.plugin")


@commands.command("check-plugin")
def check_plugin_command(
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="Such as acme_angle.plugin, or acme-angle.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
) -> None:
    """Run the conformance checks of a plugin; exit 1 if one fails."""
    from anokit.testing import table

    results = table.check_plugin(module)
    if as_json:
        print(table.as_json(results))
    else:
        table.print_results(results)
    if any(result.outcome == "failed" for result in results):
        raise typer.Exit(1)


@commands.command("docs")
def docs_command(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a page is out of date.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("docs"),
    plugin: PluginFiles = None,
) -> None:
    """Write the pages on all components and commands: components.md and cli.md."""
    from anokit import docs
    from anokit.registry import Registry

    pages = docs.pages(Registry.load(plugin or []))
    if not check:
        for path in docs.write(pages, out):
            print(path)
        return
    stale = docs.stale(pages, out)
    for path in stale:
        print(f"{path}: out of date; write it anew with: anokit docs")
    if stale:
        raise typer.Exit(1)


@commands.command("schema")
def schema_command(plugin: PluginFiles = None) -> None:
    """Print a JSON Schema of recipes with the installed components, for editors."""
    import json

    from anokit import schema
    from anokit.registry import Registry

    print(json.dumps(schema.recipe_schema(Registry.load(plugin or [])), indent=2))
