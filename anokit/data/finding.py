"""Image files below folders: the one rule by which training, masks, `scan` and `score` find them.

Told by their suffix, in upper or lower case; hidden files and folders, checkpoint folders of
notebooks, what archives of a Mac leave behind and run directories and galleries of anokit are no
images; links to folders are followed, each folder once. What is named itself is taken as it is;
patterns find what folders are found to hold.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, partial
from glob import has_magic
from pathlib import Path

from anokit.data.outputs import is_output
from anokit.data.suffixes import is_image

SKIPPED_FOLDERS = frozenset({"__MACOSX", "__pycache__", "@eaDir"})
"""Folders that tools leave beside images, with previews or parts of them; hidden ones as well."""
SILENT = frozenset({"thumbs.db", "desktop.ini"})
NAMED = 3
"""Kinds of skipped files that are named."""


@dataclass
class Found:
    """Image files of a folder, and what was passed over there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import look_through
    >>> look_through(Path("photos")).skipped()
    '1 that are no images (.txt)'
    """

    images: list[Path]
    """sorted by POSIX path below the folder"""
    others: Counter[str] = field(default_factory=Counter)
    """files that are no images, by suffix in lower case"""
    hidden: int = 0
    """hidden image files, and image files in hidden or skipped folders directly below one looked at
    """
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    """folders that could not be looked into, and why"""
    outputs: list[Path] = field(default_factory=list)
    """run directories and galleries of anokit below the folder"""

    def skipped(self, *, folders: bool = True) -> str:
        """Return what was passed over, counted and named, in words; empty where nothing was.

        ``folders``: whether those that could not be looked into are among it.
        """
        parts = []
        if self.others:
            count = sum(self.others.values())
            common = [suffix or "no suffix" for suffix, _ in self.others.most_common(NAMED)]
            more = ", …" if len(self.others) > NAMED else ""
            parts.append(f"{count:,} that are no images ({', '.join(common)}{more})")
        if self.hidden:
            parts.append(f"{self.hidden:,} hidden or in hidden folders")
        if self.outputs:
            more = ", …" if len(self.outputs) > 1 else ""
            parts.append(f"{len(self.outputs):,} that anokit wrote ({min(self.outputs)}{more})")
        if self.unreadable and folders:
            path, why = self.unreadable[0]
            more = ", …" if len(self.unreadable) > 1 else ""
            parts.append(f"folders that cannot be looked into ({path}: {why}{more})")
        return " and ".join(parts)


def find_images(folder: Path) -> list[Path]:
    """Return all image files below ``folder``, sorted by POSIX path; see `look_through`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import find_images
    >>> [path.name for path in find_images(Path("photos"))]
    ['a.png', 'b.png', 'scan.tif']
    """
    return look_through(folder).images


def look_through(folder: Path) -> Found:
    """Return the image files below ``folder`` and what is passed over, without opening a file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from anokit.data import look_through
    >>> found = look_through(Path("photos"))
    >>> len(found.images), dict(found.others)
    (3, {'.txt': 1})
    """
    found = Found([])
    found.images = list(walk_images(folder, found))
    return found


def walk_images(folder: Path, found: Found) -> Iterator[Path]:
    """Yield the image files below ``folder``, sorted by POSIX path; note what is passed over.

    Of two ways to one folder the same is taken on every machine. The memory that it takes is that
    of the largest folder.
    """
    seen: set[str] = set()
    waiting = [iter([(str(folder), True)])]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        path, is_folder = entry
        if not is_folder:
            yield Path(path)
            continue
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            waiting.append(iter(_entries(path, found)))


def _entries(folder: str, found: Found) -> list[tuple[str, bool]]:
    """Return the images and folders in a folder, and which are folders; note what is passed over.

    They come so that the paths of all images below, one folder after the other, are sorted.
    """
    kept: list[tuple[str, str, bool]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if _is_folder(entry):
                    if is_skipped(name):
                        found.hidden += sum(is_image(Path(one)) for one in _names(entry.path))
                    elif is_output(entry.path):
                        found.outputs.append(Path(entry.path))
                    else:
                        kept.append((f"{name}/", entry.path, True))
                elif _admitted(name, found):
                    kept.append((name, entry.path, False))
    except OSError as error:
        found.unreadable.append((Path(folder), error.strerror or str(error)))
    return [(path, is_folder) for _, path, is_folder in sorted(kept)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link that leads in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _admitted(name: str, found: Found) -> bool:
    """Return whether a file of this name is taken; note it where it is not."""
    if not is_image(Path(name)):
        if not name.startswith(".") and name.lower() not in SILENT:
            found.others[Path(name).suffix.lower()] += 1
        return False
    found.hidden += name.startswith(".")
    return not name.startswith(".")


def is_pattern(path: str | Path) -> bool:
    """Return whether a path is one of ``*``, ``?``, ``[…]`` and not the name of what is there."""
    return has_magic(str(path)) and not os.path.lexists(path)


def match_images(pattern: str | Path, found: Found) -> Iterator[Path]:
    """Yield the image files that a pattern matches, sorted by POSIX path; note what is passed over.

    The rules are those of folders, from the first part that is a pattern on. ``**`` stands for any
    folders; a folder that matches is none of its files.

    Examples
    --------
    >>> from anokit.data import Found, match_images
    >>> [path.name for path in match_images("photos/*.png", Found([]))]
    ['a.png', 'b.png']
    """
    parts = Path(pattern).parts
    given = next((place for place, part in enumerate(parts) if has_magic(part)), len(parts))
    base = Path(*parts[:given])
    output_of = cache(partial(output_around, below=base))
    matched = set(_matched(base, parts[given:], found))
    for path in sorted(matched, key=lambda path: path.as_posix()):
        if path.is_dir():
            continue
        if any(map(is_skipped, path.parts[given:-1])):
            found.hidden += is_image(path)
        elif output := output_of(path.parent):
            found.outputs += [output] if output not in found.outputs else []
        elif _admitted(path.name, found):
            yield path


def _matched(folder: Path, parts: Sequence[str], found: Found) -> Iterator[Path]:
    """Yield what the parts of a pattern match below a folder, as `glob.glob` has it.

    But folders that cannot be looked into are noted, and links that lead in a circle end.
    """
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**" == "".join(rest[:1]):
        yield from _matched(folder, rest, found)
    elif part == "**":
        waiting, seen = [folder], set[str]()
        while waiting:
            inner = waiting.pop()
            real = os.path.realpath(inner)
            if real in seen:
                continue
            seen.add(real)
            entries = _listed(inner, found)
            if not rest:
                yield from (inner / name for name, _ in entries if not name.startswith("."))
            else:
                yield from _matched(inner, rest, found)
            folders = [inner / name for name, deeper in entries if deeper and name[0] != "."]
            waiting += folders[::-1]
    elif has_magic(part):
        for name, deeper in _listed(folder, found):
            hidden = name.startswith(".") and not part.startswith(".")
            if not hidden and fnmatchcase(name, part) and (deeper or not rest):
                yield from _matched(folder / name, rest, found)
    elif os.path.lexists(folder / part):
        yield from _matched(folder / part, rest, found)


def _listed(folder: Path, found: Found) -> list[tuple[str, bool]]:
    """Return the names in a folder and which are folders'; note once where it is closed."""
    try:
        with os.scandir(str(folder)) as entries:
            return sorted((entry.name, _is_folder(entry)) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        closed = (folder, error.strerror or str(error))
        if closed not in found.unreadable:
            found.unreadable.append(closed)
        return []


def expand(path: str | Path) -> Path:
    """Return a path with ``~`` as the home folder; environment variables stay as they are.

    A relative path stays relative, to the working directory.

    Examples
    --------
    >>> from anokit.data import expand
    >>> expand("data/faces").as_posix()
    'data/faces'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # nobody's home, such as ~nobody-of-that-name
        return Path(path)


def is_skipped(name: str) -> bool:
    """Return whether a folder of this name is passed over."""
    return name.startswith(".") or name in SKIPPED_FOLDERS


def output_around(folder: Path, below: Path) -> Path | None:
    """Return the run directory or gallery that a folder is or lies in, if it is ``below`` one."""
    inside = [folder, *folder.parents][: len(folder.parts) - len(below.parts)]
    return next((one for one in reversed(inside) if is_output(one)), None)


def _names(folder: str) -> Sequence[str]:
    try:
        return [path.name for path in Path(folder).iterdir()]
    except OSError:
        return ()
