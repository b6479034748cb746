"""Changes to a recipe's tables before they are read: ``[quick]`` and ``--set key=value``."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anokit.errors import RecipeError, UsageError

Table = dict[str, Any]


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Table:
    """Return ``base`` with ``changes`` laid over it: tables merge, arrays and values replace.

    A table that names another component (``use``) replaces the table it changes, since the options
    of one component mean nothing to another.
    """
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        old = result.get(key)
        tables = isinstance(old, dict) and isinstance(value, Mapping)
        if tables and old and value.get("use", old.get("use")) == old.get("use"):
            result[key] = merge(old, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def apply_setting(data: Table, setting: str) -> None:
    """Change ``data`` in place by one ``--set`` argument, such as ``scores.lo.weight=2``.

    The value is read as TOML; a bare word is a string. Items of an array are addressed by their
    ``name``, their ``use`` or their place from 0.

    Raises
    ------
    UsageError
        Where the argument is not ``key=value`` or an array has no such item.
    """
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(
            f"--set {setting}: expected KEY=VALUE, such as --set backbone.images=60000"
        )
    place: Any = data
    for depth, key in enumerate(keys[:-1]):
        place = _step(place, key, setting, ".".join(keys[:depth]))
    where = ".".join(keys[:-1])
    if isinstance(place, list):
        place[_index(place, keys[-1], setting, where)] = toml_value(text)
    elif isinstance(place, dict):
        place[keys[-1]] = toml_value(text)
    else:
        raise UsageError(f"--set {setting}: {where} is a value, not a table")


def toml_value(text: str) -> Any:
    """Return what stands after ``=`` on the command line, read as TOML; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):
        return text.strip()


def _step(place: Any, key: str, setting: str, where: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, key, setting, where)]
    if not isinstance(place, dict):
        raise UsageError(f"--set {setting}: {where} is a value, not a table")
    if key not in place:
        place[key] = {}
    if not isinstance(place[key], (dict, list)):
        raise UsageError(
            f"--set {setting}: {where + '.' if where else ''}{key} is a value, not a table"
        )
    return place[key]


def _index(items: Sequence[Any], key: str, setting: str, where: str) -> int:
    names = [
        item.get("name", item.get("use")) if isinstance(item, dict) else item for item in items
    ]
    if key in names:
        return names.index(key)
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    known = ", ".join(str(name) for name in names if name) or "none"
    raise UsageError(f"--set {setting}: no {key!r} in {where}; there are: {known}")


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the tables of a TOML file.

    Raises
    ------
    UsageError
        Where there is no such file.
    RecipeError
        Where it is not TOML, with file, line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin with a mark
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        listed = f"; in {path.parent} there are: {', '.join(near)}" if near else ""
        raise UsageError(f"{path}: no such recipe{listed}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a recipe: {error}") from None
    try:
        return text, tomllib.loads(text)
    except RecursionError:
        raise RecipeError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # an integer of thousands of digits is no TOMLDecodeError
        message, _, place = str(error).partition(" (at ")
        line, column = (
            [part.split()[-1] for part in place.rstrip(")").split(",")]
            if "line" in place
            else (
                str(text.count("\n") + 1),
                "1",
            )
        )
        raise RecipeError(f"{path}:{line}:{column}: not valid TOML: {message}") from None


def change_tables(
    data: Mapping[str, Any], *, quick: bool, settings: Sequence[str]
) -> dict[str, Any]:
    """Return the tables after ``[quick]`` (where asked for) and then ``--set``."""
    changes = data.get("quick", {}) if quick else {}
    # What is no table is left for the recipe's own check to refuse.
    tables = merge(data, changes if isinstance(changes, dict) else {})
    for setting in settings:
        apply_setting(tables, setting)
    return tables
