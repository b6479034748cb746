"""New names for what was copied: of the package and of the component."""

from __future__ import annotations

import ast
import json
import re

from anokit.authoring.scaffold.names import Names
from anokit.plugin import KINDS
from anokit.registry.entries import Entry
from anokit.types.models import ROUND_TRIP_FIELDS


def renamed(text: str, entry: Entry, package: str, names: Names) -> str:
    """Return source in which package and component have their new names.

    The component's name is one where the source speaks of it (``score 'lr'``, or between two
    backquotes) and where it is handed to a function by place, as messages get it. A name that a
    field of the round trip has as well stays there.
    """
    old, new = entry.component.name, names.component
    # A package may be called like a hook, which keeps its name.
    text = re.sub(rf"(?<!def )\b{package}\b", names.package, text)
    kinds = "|".join(kind.replace("-", "[- ]") for kind in KINDS)
    text = re.sub(rf"\b({kinds}) '{re.escape(old)}'", rf"\1 '{new}'", text)
    text = text.replace(f"``{old}``", f"``{new}``")
    return text if old in ROUND_TRIP_FIELDS else _in_calls(text, old, new)


def _in_calls(text: str, old: str, new: str) -> str:
    lines = text.encode().splitlines(keepends=True)
    found = [
        argument
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) != "open"
        for argument in node.args
        if isinstance(argument, ast.Constant) and argument.value == old
    ]
    for one in sorted(found, key=lambda one: (one.lineno, one.col_offset), reverse=True):
        line, end = lines[one.lineno - 1], one.end_col_offset or 0
        lines[one.lineno - 1] = line[: one.col_offset] + json.dumps(new).encode() + line[end:]
    return b"".join(lines).decode()
