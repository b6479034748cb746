"""Commands on components and for authors of plugins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from anokit.cli.options import PluginFiles, debugging
from anokit.errors import UsageError
from anokit.plugin import KINDS, Kind


def list_plugins_command(
    kind: Annotated[Kind | None, typer.Option(help="Only components of this kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if there are problems.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """List all components and the problems of plugins that could not be loaded."""
    from anokit.cli import listing
    from anokit.registry.lookup import Registry

    registry = Registry.load(plugin or [])
    if as_json:
        print(listing.as_json(registry, kind))
    else:
        listing.print_table(registry, kind)
        listing.print_problems(registry, debug=debugging())
    if strict and registry.problems:
        raise typer.Exit(1)


def describe_command(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND] NAME",
            help="A component, bare or qualified; after its kind where several share the name.",
        ),
    ],
    plugin: PluginFiles = None,
) -> None:
    """Describe one component: what it does, what it needs, its options."""
    from anokit.cli import listing
    from anokit.registry.lookup import Registry

    registry = Registry.load(plugin or [])
    if len(words) == 1:
        listing.describe(registry.called(words[0]))
        return
    *kinds, name = words
    kind = next((kind for kind in KINDS if kinds == [kind]), None)
    if kind is None:
        raise UsageError(
            f"anokit describe {' '.join(words)}: expected the name of a component, after its kind "
            f"at most, which is {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        )
    listing.describe(registry.get(kind, name))


def new_plugin_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as acme-angle.")],
    kind: Annotated[
        Kind | None, typer.Option(help="What the plugin offers; a score unless --from says.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="KIND:NAME",
            help="An installed component to begin with, copied and renamed: score:residual.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to make, instead of NAME.")] = None,
    anokit: Annotated[
        Path | None, typer.Option(help="A checkout of anokit for uv to use in its place.")
    ] = None,
) -> None:
    """Write a small, complete, publishable package to start a plugin from."""
    from anokit.authoring.scaffold.names import names_for
    from anokit.authoring.scaffold.writer import component_called, write_plugin

    entry = component_called(start, kind) if start else None
    folder, *files = write_plugin(
        name, entry.kind if entry else kind or "score", out, anokit, entry
    )
    for path in files:
        print(path)
    package = names_for(name).package
    print("\nNext:")
    print(f"  cd {folder}")
    print(
        "  python -m pytest          (in an environment with pytest and anokit; or: uv run pytest)"
    )
    print(f"  pip install -e . && anokit check-plugin {package}.plugin")


def check_plugin_command(
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="Such as acme_angle.plugin, or acme-angle.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the stable form.")] = False,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Write what was found into the package, to ship.")
    ] = False,
) -> None:
    """Run the conformance checks of a plugin; exit 1 if one fails."""
    from anokit.testing import table

    checked = table.check_plugin(module)
    if as_json:
        print(table.as_json(checked))
    else:
        table.print_results(checked)
    if checked.counts["failed"]:
        raise typer.Exit(1)
    if certificate:
        print(f"certificate written: {table.keep(checked)}", file=sys.stderr)


def schema_command(plugin: PluginFiles = None) -> None:
    """Print a JSON Schema of recipes with the installed components, for editors."""
    import json

    from anokit.authoring import schema
    from anokit.registry.lookup import Registry

    print(json.dumps(schema.recipe_schema(Registry.load(plugin or [])), indent=2))
