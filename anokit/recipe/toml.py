"""Resolved recipes as TOML text: Python reads TOML and does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def to_toml(data: Mapping[str, Any]) -> str:
    """Return nested tables of strings, numbers, lists and tables as TOML.

    None is left out, and so is an empty table at the top.
    """
    lines = [f"{_key(k)} = {toml_value(v)}" for k, v in data.items() if _plain(v)]
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            lines += ["", f"[{_key(key)}]", *_pairs(value)]
        elif isinstance(value, list) and not _plain(value):
            for item in value:
                lines += ["", f"[[{_key(key)}]]", *_pairs(item)]
    return "\n".join(lines).strip() + "\n"


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested tables; lists of tables count as one value."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def label_of(key: str, keys: Collection[str]) -> str:
    """Return the last part of a dotted key, all of it where others end in the same."""
    last = key.rpartition(".")[2]
    return last if [one.rpartition(".")[2] for one in keys].count(last) == 1 else key


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(k)} = {toml_value(v)}" for k, v in table.items() if v is not None]


def _plain(value: Any) -> bool:
    if value is None or isinstance(value, Mapping):
        return False
    tables = isinstance(value, list) and value and all(isinstance(i, Mapping) for i in value)
    return not tables


def _key(key: str) -> str:
    return key if _BARE.match(key) else _text(key)


def toml_value(value: Any) -> str:
    """Return a string, number, list or table as a TOML value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_pairs(value)) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return repr(value)
    return _text(str(value))


def _text(value: str) -> str:
    # JSON's strings are TOML's but for this one character, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
