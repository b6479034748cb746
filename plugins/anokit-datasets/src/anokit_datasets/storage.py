"""Folders that appear complete or not at all, and arrays on disk."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from anokit.errors import DataError

MAX_IN_MEMORY = 2**30
"""Bytes of an array beyond which it lies in a temporary file."""


@contextmanager
def appear_whole(folder: Path, what: str, advice: str) -> Iterator[Path]:
    """Give a temporary folder to fill, which becomes ``folder`` when all went well.

    Where another process was faster, its folder stays and ours is removed.

    Raises
    ------
    DataError
        Where the place cannot be written or is full: ``what`` was to be written, ``advice`` helps.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise DataError(f"{what} cannot be written to {folder}: {error}; {advice}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise DataError(f"{what} cannot be written to {folder}: {error}; {advice}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def reserve(file: BinaryIO, size: int) -> None:
    """Claim ``size`` bytes on disk for ``file``.

    So a full disk is an error here, where it would be a crash when the memory map is written.
    """
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(file.fileno(), 0, size)


def create_array(path: Path, shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Return a writable memory map of a new uint8 .npy file."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, tuple(shape))
    with path.open("r+b") as file:
        reserve(file, array.offset + math.prod(shape))
    return array


def room_for(shape: Sequence[int], cache: str | None) -> npt.NDArray[np.uint8]:
    """Return a uint8 array: in memory, or in a temporary file in ``cache`` where it is large.

    Raises
    ------
    DataError
        Where the file cannot be written.
    """
    size = math.prod(shape)
    if size <= MAX_IN_MEMORY:
        return np.empty(shape, np.uint8)
    try:
        # The file has no name: it is gone with the last map of it, whatever happens.
        with tempfile.TemporaryFile(dir=cache) as file:
            reserve(file, size)
            return np.memmap(file, np.uint8, "w+", shape=tuple(shape))
    except OSError as error:
        raise DataError(
            f"no room for the decoded images in {cache or tempfile.gettempdir()}: {error}; "
            "set `cache` to a folder on a larger disk"
        ) from error


def open_array(path: Path) -> npt.NDArray[np.uint8]:
    """Return a memory map of a .npy file.

    It is writable, since torch warns of tensors over anything else, but copy-on-write: what is
    written stays in this process.
    """
    array: npt.NDArray[np.uint8] = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


def beside(root: Path, suffix: str) -> Path:
    """Return the folder next to ``root`` with its name and ``suffix``, also for ``"."``."""
    # Resolved only where it must be: beside a link means beside the name that the user gave.
    place = root.resolve() if root.name in ("", "..") else root
    return place.with_name(place.name + suffix)


def fingerprint(settings: Any, files: Iterable[Path] = ()) -> str:
    """Return 16 hexadecimal digits for ``settings`` (JSON) and names, sizes and times of files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        status = path.stat()
        digest.update(f"\0{path}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
