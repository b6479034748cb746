"""A folder of files that is seen whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anokit.errors import UsageError
from anokit.store.files import beside, unwritable


@contextmanager
def replacing_folder(path: Path, foreign: Callable[[Path], str]) -> Iterator[Path]:
    """Yield an empty folder to write to; it takes the place of ``path`` at the end.

    A folder that was there stays until then, also where the body fails or the process is killed.

    Parameters
    ----------
    foreign
        Returns the name of something in the folder that was there which is not of this kind, or an
        empty text where all is. A folder with something foreign is somebody's: nothing is touched.

    Raises
    ------
    UsageError
        Where ``path`` is a file, or a folder with something else in it.
    CheckpointError
        In place of an `OSError`: where the disk is full or a permission is missing.
    """
    path = path.resolve()
    new, old = beside(path, "new"), beside(path, "old")
    try:
        if old.exists() and not path.exists():
            old.rename(path)  # The process was killed between the two renames below.
        check_ours(path, foreign)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise unwritable(path, error) from None
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def check_ours(path: Path, foreign: Callable[[Path], str]) -> None:
    """Raise `UsageError` where ``path`` is a file, or a folder with something foreign in it."""
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: is a file; name a new folder")
    name = foreign(path)
    if name:
        raise UsageError(
            f"{path}: is there already and holds {name}, which would be lost; name a new or an "
            "empty folder"
        )
