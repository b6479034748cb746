"""What the source says of a public name: its signature as written, its docstring, its fields.

Read without importing it. griffe reads what `inspect` cannot: strings below attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe

HERE = Path(__file__).resolve().parents[2]
"""The folder that the package lies in."""

Named = griffe.Attribute | griffe.Class | griffe.Function
"""What a public name may stand for."""


@cache
def module(name: str) -> griffe.Module:
    """Return what the file of a module defines and imports."""
    # Not by importlib: to find a module, that imports the packages which it is in.
    path = HERE.joinpath(*name.split(".")).with_suffix(".py")
    if not path.is_file():
        path = path.with_suffix("") / "__init__.py"
    found = griffe.visit(name, path, path.read_text(encoding="utf-8"))
    return found if isinstance(found, griffe.Module) else found.module


def names(place: str) -> list[str]:
    """Return the public names of a module, sorted."""
    return sorted(str(name) for name in module(place).exports or ())


def find(place: str, name: str) -> Named:
    """Return what a name in a module stands for, in the file that defines it."""
    member = module(place).members[name]
    while isinstance(member, griffe.Alias):
        place, _, name = member.target_path.rpartition(".")
        member = module(place).members[name]
    if not isinstance(member, Named):
        raise TypeError(f"{place}.{name} is a {member.kind.value}")
    return member


def sections(of: griffe.Object) -> list[griffe.DocstringSection]:
    """Return the sections of a docstring: its text, then those of the NumPy style."""
    return of.docstring.parse("numpy", warnings=False) if of.docstring else []


def text_of(of: griffe.Object) -> str:
    """Return what a docstring says before its sections."""
    texts = [s.value for s in sections(of) if isinstance(s, griffe.DocstringSectionText)]
    return "\n\n".join(texts)


def first_sentence(of: griffe.Object) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join(text_of(of).partition("\n\n")[0].split())


def examples(of: griffe.Object) -> str:
    """Return the examples of a docstring, of its members too, as it shows them."""
    parts = [
        text
        for section in sections(of)
        if isinstance(section, griffe.DocstringSectionExamples)
        for _, text in section.value
    ]
    members = methods(of) if isinstance(of, griffe.Class) else ()
    return "\n\n".join([*parts, *filter(None, map(examples, members))])


def is_public(name: str) -> bool:
    """Return whether a member of a class is shown: not what only Python or a print calls."""
    return name == "__call__" or not (name.startswith("_") or name == "extra_repr")


def methods(of: griffe.Class) -> Iterator[griffe.Function]:
    """Yield the public methods that a class itself defines."""
    for name, member in of.members.items():
        if is_public(name) and isinstance(member, griffe.Function):
            yield member


def fields(of: griffe.Class) -> Iterator[griffe.Attribute]:
    """Yield the public properties of a class, and the attributes that it annotates or explains."""
    for name, member in of.members.items():
        if is_public(name) and isinstance(member, griffe.Attribute):
            # With a value, and yet of instances alone: it is assigned in the constructor.
            stated = member.value is None or "class-attribute" in member.labels
            told = member.annotation is not None or member.docstring
            if told and stated:
                yield member
