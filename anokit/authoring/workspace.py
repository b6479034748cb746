"""The packages of the workspace that a folder lies in, and which of their modules are public."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from anokit.errors import UsageError
from anokit.registry.discovery import normalise


class Package(NamedTuple):
    """A package of a workspace, as its pyproject.toml describes it."""

    name: str
    """the distribution's, as indexes compare it"""
    public: tuple[str, ...]
    """modules that other packages may import: ``public`` of its table ``[tool.anokit]``"""


def packages(folder: Path) -> list[Package]:
    """Return the packages of the uv workspace that a folder lies in; none where it is in none."""
    whole = folder.resolve()
    for root in (whole, *whole.parents):
        table = _tables(root).get("tool", {}).get("uv", {}).get("workspace")
        if table is not None:
            return [_package(place) for place in (root, *_members(root, table))]
    return []


def public_modules(folder: Path) -> list[str]:
    """Return the public modules of all these packages."""
    return [module for package in packages(folder) for module in package.public]


def _members(root: Path, table: dict[str, Any]) -> Iterator[Path]:
    left_out = {place for pattern in table.get("exclude", ()) for place in root.glob(pattern)}
    for pattern in table.get("members", ()):
        for place in sorted(root.glob(pattern)):
            if (place / "pyproject.toml").is_file() and place not in left_out:
                yield place


def _package(place: Path) -> Package:
    tables = _tables(place)
    public = tables.get("tool", {}).get("anokit", {}).get("public", [])
    if not (isinstance(public, list) and all(isinstance(name, str) for name in public)):
        raise UsageError(
            f"{place / 'pyproject.toml'}: [tool.anokit] public is {public!r}, expected a list of "
            'modules, such as public = ["acme_angle.helpers"]'
        )
    return Package(normalise(tables.get("project", {}).get("name", "")), tuple(public))


def _tables(place: Path) -> dict[str, Any]:
    path = place / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}; mend or move it") from None
