"""What the source says of a public name: its signature as written, its docstring, its fields.

Read without importing it. griffe reads what `inspect` cannot: strings below attributes.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe

from anokit.errors import UsageError

Named = griffe.Attribute | griffe.Class | griffe.Function
"""What a public name may stand for."""


@cache
def module(name: str) -> griffe.Module:
    """Return what the file of a module defines and imports."""
    path = _file(name)
    found = griffe.visit(name, path, path.read_text(encoding="utf-8"))
    return found if isinstance(found, griffe.Module) else found.module


def _file(name: str) -> Path:
    """Return the file of an installed module; raise `UsageError` where there is none."""
    # The package alone by importlib: to find a module in it, that would import the package.
    package, *inner = name.split(".")
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        place = Path(folder).joinpath(*inner)
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path
    raise UsageError(
        f"module {name}, which is to be described, is not installed here; install its package, or "
        "mend the name where it is said to be public"
    )


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


def evaluated(code: str, place: str) -> str:
    """Return the text that a literal in a module stands for; an f-string may name constants."""
    node = ast.parse(code, mode="eval").body
    if not isinstance(node, ast.JoinedStr):
        return str(ast.literal_eval(node))
    return "".join(
        evaluated(str(getattr(find(place, ast.unparse(part.value)), "value", "")), place)
        if isinstance(part, ast.FormattedValue)
        else str(ast.literal_eval(part))
        for part in node.values
    )


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
    """Yield the public properties of a class, and the attributes that it annotates or explains.

    Of what the constructor assigns, that is what is explained.
    """
    for name, member in of.members.items():
        if is_public(name) and isinstance(member, griffe.Attribute):
            stated = member.annotation is not None and not is_assigned(member)
            if stated or member.docstring:
                yield member


def is_assigned(of: griffe.Attribute) -> bool:
    """Return whether an attribute has a value, and yet of instances alone: from the constructor."""
    return of.value is not None and "class-attribute" not in of.labels
