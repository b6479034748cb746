"""Lists of training images to leave out: what ``[dataset] exclude`` takes, for a person to edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ORIGIN = "# from run: "
"""Begins the line of a list that names the run whose images it lists."""


def exclude_text(names: Sequence[str], run: Path, remarks: Sequence[str]) -> str:
    """Return a list of images: one a line, under remarks and the run that they come from."""
    head = [f"{ORIGIN}{run.absolute()}", *(f"# {line}".rstrip() for line in remarks)]
    return "\n".join([*head, *names]) + "\n"


def listable(name: str) -> bool:
    """Return whether a name can stand in a list: what is read there is the name again."""
    return bool(name) and name.splitlines() == [name.strip()] and not name.startswith("#")


def origin_of(text: str) -> Path | None:
    """Return the run that a list says it comes from, or None where it does not say."""
    for line in text.splitlines():
        if line.startswith(ORIGIN):
            return Path(line.removeprefix(ORIGIN).strip())
    return None
