"""Options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Add a one-file plugin; may be repeated."),
]
TrustPlugins = Annotated[
    bool,
    typer.Option(
        "--trust-plugins",
        help="Execute the one-file plugins that RUN keeps, if they are what it recorded.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the recipe, such as backbone.images=60000 or scores.lo.weight=2. Repeatable.",
    ),
]
Watch = Annotated[
    list[str] | None,
    typer.Option(
        "--watch",
        metavar="NAME[.OPTION=VALUE]",
        help="Have a plugin's watcher see the run as well, or set an option of it. Repeatable; "
        "ANOKIT_WATCH adds more, commas between.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Quick = Annotated[bool, typer.Option("--quick", help="Lay the recipe's [quick] table over it.")]


def debugging() -> bool:
    """Return whether tracebacks are wanted for every error."""
    return os.environ.get("ANOKIT_DEBUG", "") not in ("", "0")
