"""Where a command is to write, checked before it does any work."""

from __future__ import annotations

import os
from pathlib import Path

from anokit.errors import UsageError
from anokit.store.run_directory import OWN_NAMES


def check_file(option: str, path: Path) -> None:
    """Raise `UsageError` where no file can be written at ``path``; ``option`` names it.

    One that is there may be replaced, a folder, a device or a file of a run may not.
    """
    _check_foreign(option, path)
    folder = path.parent
    if not folder.is_dir():
        what = "is no folder" if os.path.lexists(folder) else "does not exist"
        raise UsageError(
            f"{option} {path}: cannot be written: {folder} {what}; make it, or name another file"
        )
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder, expected a file; name another file")
    if os.path.lexists(path) and path.exists() and not path.is_file():
        raise UsageError(f"{option} {path}: is there already and no regular file; name another")
    _check_writable(option, path, folder)


def check_folder(option: str, path: Path) -> None:
    """Raise `UsageError` where ``path`` can be no folder to write to; ``option`` names it.

    Folders above it are made where they are missing. One of a run may not be written to.
    """
    _check_foreign(option, path)
    place = next(place for place in (path.absolute(), *path.absolute().parents) if _there(place))
    if not place.is_dir():
        where = "is" if place == path.absolute() else f"cannot be made: {place} is"
        raise UsageError(f"{option} {path}: {where} a file; name a new folder")
    _check_writable(option, path, place)


def _check_foreign(option: str, path: Path) -> None:
    """Raise `UsageError` where a path is one of a run's own, whether it is there or not yet."""
    run, name = path.absolute().parent, path.name
    own = name in OWN_NAMES or name.endswith(".py")
    if own and all((run / one).is_file() for one in ("resolved.json", "split.json")):
        raise UsageError(
            f"{option} {path}: is {name} of the run {run.name} itself, which only that run writes; "
            "name another place"
        )


def _check_writable(option: str, path: Path, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"{option} {path}: cannot be written: {folder} lets this user not write; change its "
            "permissions, or name another place"
        )


def _there(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except OSError:  # a name that is too long
        return False
