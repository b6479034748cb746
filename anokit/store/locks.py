"""Files that a process holds alone while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from anokit.errors import UsageError
from anokit.store.files import unwritable


@contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, which is made where it is not there.

    Raises
    ------
    UsageError
        With the text ``busy``, where another process holds it.
    CheckpointError
        Where it cannot be made.
    """
    lock = FileLock(path, timeout=0)
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
