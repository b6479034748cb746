"""Files that a process holds alone while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from anokit.errors import CheckpointError, UsageError
from anokit.store.files import unwritable


@contextmanager
def held(path: Path, busy: str, patience: float = 0) -> Iterator[None]:
    """Hold a lock file, which is made where it is not there.

    Raises
    ------
    UsageError
        With the text ``busy``, where another process holds it, after so many seconds still.
    CheckpointError
        Where it cannot be made.
    """
    lock = FileLock(path, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(busy) from None
    except OSError as error:
        raise unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether a process is known to hold a lock file; one that is not there is not made."""
    if not path.exists():
        return False
    try:
        with held(path, ""):
            return False
    except UsageError:
        return True
    except CheckpointError:  # whoever is to work there will say what is wrong with it
        return False
