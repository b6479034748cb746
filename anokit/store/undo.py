"""Changes of a finished run that are made whole, or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anokit.errors import AnokitError, CheckpointError
from anokit.store.files import beside, make_folder, place_copy, unwritable
from anokit.store.locks import held
from anokit.store.run_directory import LOCK, RunDirectory

UNDO = ".undo"
"""A folder of what a run was before it is changed; it is there only while that is under way."""

STAYING = (".py", ".png")
"""What stays where it was not there before: a copy of a plugin or a picture that nothing uses does
no harm, and since a process was killed, people may have put others there."""


PATIENCE = 30.0
"""Seconds that a reader waits for a change that is under way; most take one or two."""


@contextmanager
def changing(directory: RunDirectory) -> Iterator[None]:
    """Change several files of a finished run: where the body fails, all are put back as they were.

    So they are where the process is killed or putting them back is refused, too: by whatever next
    reads the run's results (`put_back`). Files that were not there before go, but for `STAYING`.

    Raises
    ------
    CheckpointError
        Where what is there cannot be kept. Then nothing was changed.
    """
    undo, new = _paths(directory)
    shutil.rmtree(new, ignore_errors=True)
    try:
        make_folder(new)
        for path in _changed(directory):
            if path.exists():
                place_copy(path, new / path.name)
        _rename(new, undo)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    try:
        yield
        _drop(directory)
    except BaseException:
        with contextlib.suppress(AnokitError):
            _put_back(directory)
        raise


def put_back(directory: RunDirectory) -> None:
    """Put the files of a run back as they were before a change that was stopped, if one was.

    One that is under way in another process is waited for.

    Raises
    ------
    UsageError
        Where another process is changing them for longer than `PATIENCE`.
    CheckpointError
        Where they cannot be put back.
    """
    undo, new = _paths(directory)
    busy = f"{directory.path}: another anokit is changing its results; wait for it"
    if undo.exists():
        try:
            with held(directory.path / LOCK, busy, PATIENCE):
                _put_back(directory)
        except CheckpointError as error:
            raise CheckpointError(
                f"{directory.path}: a change of its results was stopped halfway, and must be "
                f"undone before they are read: {error}"
            ) from None
    elif new.exists():  # of a process that was killed just before, or just after
        with contextlib.suppress(AnokitError), held(directory.path / LOCK, busy):
            shutil.rmtree(new, ignore_errors=True)


def _put_back(directory: RunDirectory) -> None:
    undo, _ = _paths(directory)
    if not undo.exists():
        return
    for path in _changed(directory):
        if (undo / path.name).exists():
            place_copy(undo / path.name, path)
        elif path.suffix not in STAYING:
            _remove(path)
    _drop(directory)


def _drop(directory: RunDirectory) -> None:
    """Take away what was: from then on what is there counts."""
    undo, gone = _paths(directory)
    _rename(undo, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _paths(directory: RunDirectory) -> tuple[Path, Path]:
    """Return the folder of what was, and what it is called while it is made and taken away."""
    undo = directory.path / UNDO
    return undo, beside(undo, "new")


def _changed(directory: RunDirectory) -> list[Path]:
    """Return the files that a command may change which adds to a run, the results first."""
    files = [directory.results, directory.table, directory.ranking, directory.exhibits]
    own = [*files, directory.report, directory.path / "added.json", directory.path / "terms.json"]
    pictures = (directory.path / "figures").glob("*.png")  # which come with the report
    return [*own, *directory.path.glob("*.py"), *pictures]


def _rename(path: Path, new: Path) -> None:
    try:
        path.rename(new)
    except OSError as error:
        raise unwritable(new, error) from None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
