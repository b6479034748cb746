"""Which images of a dataset a run takes: lists of those left out, and groups that stay together."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from anokit.data.duplicates import duplicate_groups
from anokit.data.names import readable
from anokit.data.sets import ImageTable
from anokit.errors import DataError, RecipeError

NAMED = 3
"""Names that a sentence shows; the rest is counted."""

NEAR_DUPLICATES = "near-duplicates"


@dataclass(frozen=True)
class Listed:
    """What images are called."""

    ids: Sequence[str]
    files: Sequence[str] | None
    parents: Sequence[str] | None

    @classmethod
    def together(cls, parts: Sequence[Listed]) -> Listed:
        """Return what the images of several splits are called, one after the other."""
        ids = [name for part in parts for name in part.ids]
        files = [file for part in parts for file in part.files or [""] * len(part.ids)]
        parents = [name for part in parts for name in part.parents or part.ids]
        return cls(
            ids,
            None if all(part.files is None for part in parts) else files,
            None if all(part.parents is None for part in parts) else parents,
        )

    def chosen(self, rows: npt.NDArray[np.int64]) -> Listed:
        """Return what those at ``rows`` are called."""
        files = None if self.files is None else [self.files[row] for row in rows]
        parents = None if self.parents is None else [self.parents[row] for row in rows]
        return Listed([self.ids[row] for row in rows], files, parents)

    @property
    def names(self) -> tuple[str, ...]:
        """Return what the user calls them, each once: files, else photographs, else ids."""
        ids = self.ids if self.parents is None else self.parents
        files = self.files or [""] * len(ids)
        return tuple(dict.fromkeys(file or name for file, name in zip(files, ids, strict=True)))


def excluded(
    listed: Listed, path: Path, kept: Path | None = None
) -> tuple[npt.NDArray[np.bool_], str]:
    """Return which images a list leaves out (``[N]``), and a sentence on it.

    ``kept`` is a copy of the list, which is read in its place.

    The list holds one image a line, or is a CSV file with a column ``image``: files as the run
    names them or as they are found from here, ids, or ids of photographs whose tiles they are.

    Raises
    ------
    DataError
        Where it cannot be read, names none of the images, or all of them.
    """
    names = read_names(kept or path)
    wanted = {*names, *(_absolute(name) for name in names)}
    own = {name: _known_by(listed, row) for row, name in enumerate(listed.ids)}
    out = np.array([bool(own[name] & wanted) for name in listed.ids], dtype=bool)
    if not out.any():
        example = listed.files[0] if listed.files else listed.ids[0]
        raise DataError(
            f"dataset.exclude = {str(path)!r}: none of its {len(names)} names is a training image; "
            f"expected names such as {example!r}, one a line"
        )
    if out.all():
        raise DataError(f"dataset.exclude = {str(path)!r}: leaves no training image")
    found = set().union(*(own[name] for name in np.asarray(listed.ids, object)[out]))
    missing = sorted(name for name in names if not {name, _absolute(name)} & found)
    text = f"{out.sum():,} training images are left out, as {path} says"
    if missing:
        shown = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        text += f"; {len(missing):,} of its names are no training image: {shown}"
    return out, text


def _known_by(listed: Listed, row: int) -> set[str]:
    names = {listed.ids[row]}
    if listed.parents:
        names.add(listed.parents[row])
    if listed.files and listed.files[row]:
        names |= {listed.files[row], _absolute(listed.files[row])}
    return {readable(name) for name in names}


def _absolute(name: str) -> str:
    return str(Path(name).absolute())


def read_names(path: Path) -> set[str]:
    """Return the names in a list of images to leave out.

    Raises
    ------
    DataError
        Where it cannot be read or names no image.
    """
    text = read_list(path)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and "image" in lines[0].split(","):
        try:
            rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            lines = [row["image"] for row in rows if row["image"]]
        except csv.Error as error:
            raise DataError(f"dataset.exclude = {str(path)!r}: cannot be read: {error}") from None
    if not lines:
        raise DataError(f"dataset.exclude = {str(path)!r}: names no image; expected one a line")
    return set(lines)


def read_list(path: Path) -> str:
    r"""Return the text of a list of images to leave out; bytes that are no UTF-8 become ``\xff``.

    Such a list may be what ``ls`` printed, and names of files are any bytes.

    Raises
    ------
    DataError
        Where it cannot be read or is no text.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"dataset.exclude = {str(path)!r}: cannot be read: {error.strerror}"
        ) from None
    if b"\0" in octets:
        raise DataError(
            f"dataset.exclude = {str(path)!r}: is no text in UTF-8; expected a text file with one "
            "image a line, saved as UTF-8"
        )
    return octets.decode("utf-8-sig", "backslashreplace")


def groups_of(
    group: str | Mapping[Literal["manifest", "column"], str],
    parts: Sequence[Listed],
    images: ImageTable,
) -> list[list[str]]:
    """Return the group of every image of ``parts``, which lie one after the other in ``images``.

    Images without a group of their own (an empty cell, a name that the expression does not match)
    each stand alone.

    Raises
    ------
    RecipeError
        Where the expression is none, or matches no name.
    DataError
        Where the manifest cannot be read or does not know an image.
    """
    if group == NEAR_DUPLICATES:
        names = duplicate_groups(images)
    elif isinstance(group, str):
        names = _by_expression(group, [name for part in parts for name in _names(part)])
    else:
        names = _by_manifest(group, parts)
    ends = np.cumsum([len(part.ids) for part in parts])
    return [names[end - len(part.ids) : end] for part, end in zip(parts, ends, strict=True)]


def _names(part: Listed) -> Sequence[str]:
    return part.ids if part.parents is None else part.parents


def _by_expression(expression: str, names: Sequence[str]) -> list[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise RecipeError(
            f"dataset.group = {expression!r}: no regular expression: {error}"
        ) from None
    found = [pattern.search(name) for name in names]
    if not any(found):
        raise RecipeError(
            f"dataset.group = {expression!r}: matches no name; names are such as {names[0]!r}"
        )
    return [
        "\0".join(["group", *(m.groups("") or (m[0],))]) if m else f"alone\0{name}"
        for name, m in zip(names, found, strict=True)
    ]


def _by_manifest(
    group: Mapping[Literal["manifest", "column"], str], parts: Sequence[Listed]
) -> list[str]:
    manifest, column = group["manifest"], group["column"]
    where = f"dataset.group: {manifest}"
    try:
        with Path(manifest).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: cannot be read: {error}") from None
    if not rows or not {"image", column} <= set(rows[0]):
        got = ", ".join(rows[0]) if rows else "no rows"
        raise DataError(f"{where}: expected columns image and {column}, got {got}")
    known = {row["image"]: row[column] for row in rows}
    found: list[str] = []
    for part in parts:
        for row, name in enumerate(_names(part)):
            path = part.files[row] if part.files else ""
            keys = [key for key in (name, path, Path(path or name).name) if key in known]
            if not keys:
                raise DataError(f"{where}: does not name {path or name!r} in its column image")
            value = known[keys[0]]
            found.append(f"group\0{value}" if value else f"alone\0{name}")
    return found
