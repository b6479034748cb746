"""The names in a new plugin, all made from the name of its distribution."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass

from anokit.errors import UsageError
from anokit.plugin import KINDS

_NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
TAKEN = ("plugin", "tests", "component")
"""Modules that a package has anyway, or that say nothing."""


@dataclass(frozen=True)
class Names:
    """What things are called in a package ``acme-angle``."""

    distribution: str
    """``acme-angle``: what pip installs"""
    package: str
    """``acme_angle``: what Python imports"""
    component: str
    """``angle``: what a recipe writes after ``use =``"""
    module: str
    """``angle``: the file that holds the component"""
    cls: str
    """``Angle``"""


def names_for(distribution: str) -> Names:
    """Return the names of a new plugin; its component is called by what follows the first dash.

    Raises
    ------
    UsageError
        Where the name is none that pip and Python can both use, or leaves none for its component.
    """
    if not _NAME.match(distribution):
        raise UsageError(
            f"{distribution!r} is no name for a plugin: expected lower-case words with dashes "
            "between them, such as acme-angle"
        )
    package = distribution.replace("-", "_")
    taken = keyword.iskeyword(package) or package in sys.stdlib_module_names
    if taken or package in ("anokit", "test"):
        raise UsageError(
            f"{distribution!r} is no name for a plugin: {package} is taken in Python; "
            f"put a word before it, such as acme-{distribution}"
        )
    tail = distribution.partition("-")[2]
    if not tail[:1].isalpha() or keyword.iskeyword(tail) or tail in (*TAKEN, *KINDS):
        # The distribution's own name for a component fails check_component_name.
        got = f"{tail!r} says nothing or is taken" if tail else "nothing follows a first word"
        raise UsageError(
            f"{distribution!r} leaves no name for its component: {got}; expected your own word, a "
            "dash and what the component is called, such as acme-angle"
        )
    if len(tail) > 30:
        raise UsageError(
            f"{distribution!r} is too long: its component would be called {tail!r}, "
            f"{len(tail)} characters; expected at most 30"
        )
    words = tail.split("-")
    return Names(distribution, package, tail, "_".join(words), "".join(w.title() for w in words))
