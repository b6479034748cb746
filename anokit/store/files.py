"""The one way in which files of a run are written: whole, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anokit.errors import CheckpointError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; what is written there takes the place of ``path`` at the end.

    The file that was there stays until then, also where the body fails or the process is killed.
    The new one is on the disk before it gets the name, and may be read by whom the umask says.

    Raises
    ------
    CheckpointError
        In place of an `OSError`: where the disk is full, a permission is missing, the folder gone.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield new
        _to_disk(new)
        new.chmod(0o666 & ~_umask())
        new.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise unwritable(path, error.strerror or str(error)) from None
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file as `replacing` does; line ends stay as they are given."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file as `replacing` does."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def append_text(path: Path, text: str) -> None:
    """Add to the end of a text file.

    Raises
    ------
    CheckpointError
        Where it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None


def unwritable(path: Path, reason: str) -> CheckpointError:
    """Return the error that says that a file could not be written, and what became of it."""
    kept = "; the file that was there is kept as it was" if path.exists() else ""
    return CheckpointError(f"{path}: could not be written: {reason}{kept}")


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """Return which permissions new files lack; asking for it is setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
