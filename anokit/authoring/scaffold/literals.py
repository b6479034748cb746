"""Values as Python source, broken into lines where they are long."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Set
from typing import Any

WIDTH = 100


def literal(value: Any, indent: int, before: int = 0) -> str:
    """Return a value as source.

    Parameters
    ----------
    value
        None, a truth value, a number, text, or a list, set or table of these.
    indent
        Spaces before a line that is begun for it.
    before
        Characters that stand before it in its first line.
    """
    line = _line(value)
    if indent + before + len(line) < WIDTH:
        return line
    margin = " " * (indent + 4)
    if isinstance(value, str):
        parts = textwrap.wrap(value, WIDTH - indent - 8, drop_whitespace=False)
        return "(\n" + "".join(f"{margin}{_line(part)}\n" for part in parts) + " " * indent + ")"
    if isinstance(value, Mapping):
        rows = [
            f"{_line(k)}: {literal(v, indent + 4, len(_line(k)) + 2)}" for k, v in value.items()
        ]
    elif isinstance(value, Set):
        return f"frozenset({literal(sorted(value), indent, before + 10)})"
    elif isinstance(value, list | tuple):
        rows = [literal(one, indent + 4) for one in value]
    else:
        return line
    first, last = ("{", "}") if isinstance(value, Mapping) else ("[", "]")
    return f"{first}\n" + "".join(f"{margin}{row},\n" for row in rows) + " " * indent + last


def _line(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_line(k)}: {_line(v)}' for k, v in value.items())}}}"
    if isinstance(value, Set):
        inside = ", ".join(map(_line, sorted(value)))
        return f"frozenset({{{inside}}})" if value else "frozenset()"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_line, value))}]"
    return repr(value)
