"""The one way in which files of a run are written: whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from anokit.errors import CheckpointError


@contextmanager
def replacing(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a path to write to; what is written there takes the place of ``path`` at the end.

    The file that was there stays until then, also where the body fails or the process is killed.
    The new one is on the disk before it gets the name, and may be read by whom the umask says. The
    folder has to be there (`make_folder`): one that was deleted meanwhile does not come back.

    Parameters
    ----------
    shared
        Whether several processes may write it at once, all of them the same: each has a path of its
        own then, which is left where one is killed.

    Raises
    ------
    CheckpointError
        In place of an `OSError`: where the disk is full, a permission is missing, the folder gone.
    """
    new = beside(path, f"{secrets.token_hex(4)}.new" if shared else "new")
    try:
        yield new
        _to_disk(new)
        if new.stat().st_nlink < 2:  # who may read a file that has another name is said already
            new.chmod(0o666 & ~_umask())
        new.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise unwritable(path, error) from None
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


@contextmanager
def writing(path: Path, *, shared: bool = False) -> Iterator[TextIO]:
    """Yield a text file to be written row by row, as `replacing` does; line ends stay."""
    with (
        replacing(path, shared=shared) as new,
        new.open("w", encoding="utf-8", newline="", errors="surrogateescape") as file,
    ):
        yield file


def beside(path: Path, suffix: str) -> Path:
    """Return the path at which something is made that takes the place of ``path`` in the end.

    Its name is of a fixed length, since names may have 255 bytes, and always the same, so that the
    next attempt takes the place of what a killed process left.
    """
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.with_name(f".{digest}.{suffix}")


def write_text(path: Path, text: str) -> None:
    """Write a text file as `replacing` does; line ends stay as they are given."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file as `replacing` does."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def place_copy(source: Path, path: Path) -> None:
    """Give a file a second name, or copy it where the system cannot, as `replacing` does.

    A second name leaves the permissions of the file as they are. Of a symbolic link, it is one of
    the file that this leads to.
    """
    with contextlib.suppress(OSError):  # what it is will be told where it is written
        if path.samefile(source):  # a name that takes the place of another of the same file stays
            return
    with replacing(path) as new:
        new.unlink(missing_ok=True)
        try:
            new.hardlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, new)


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
        raise unwritable(path, error) from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Raises
    ------
    CheckpointError
        Where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: could not be read: {error.strerror}") from None


def open_log(path: Path) -> BinaryIO:
    """Open a file to which a process adds what it prints; unlike others it grows in place.

    Raises
    ------
    CheckpointError
        Where it cannot be written.
    """
    try:
        return path.open("ab")
    except OSError as error:
        raise unwritable(path, error) from None


def make_folder(path: Path) -> None:
    """Make a folder in one that is there, unless it is there too.

    Raises
    ------
    CheckpointError
        In place of an `OSError`.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.EROFS: "let it be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "its folder is gone: was it moved or deleted?",
    errno.ENOTDIR: "its folder is no folder any more",
    errno.EISDIR: "a folder of that name is in its place",
}
"""What to do about a file that cannot be written, by what the system says."""


def unwritable(path: Path, error: OSError | Exception) -> CheckpointError:
    """Return the error that says that a file could not be written, why, and what became of it."""
    kept = ""
    with contextlib.suppress(OSError):
        what = "folder" if path.is_dir() else "file" if path.exists() else ""
        kept = f"; the {what} that was there is kept as it was" if what else ""
    return CheckpointError(f"{path}: could not be written: {why_refused(error)}{kept}")


def why_refused(error: OSError | Exception) -> str:
    """Return why the system refused to write, and what to do about it where that is known."""
    number = getattr(error, "errno", None) or _number_in(str(error))
    reason = os.strerror(number) if number else str(error)
    return f"{reason}; {ADVICE[number]}" if number in ADVICE else reason


def refused(error: OSError) -> CheckpointError | None:
    """Return the error for what the system refused where nobody looked out for it.

    None where it names no file, or for a reason that is no user's to mend.
    """
    if error.filename is None or error.errno not in ADVICE:
        return None
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return CheckpointError(f"{name}: {why_refused(error)}")


def _number_in(text: str) -> int | None:
    """Return the number of a system's error in what a library that is not Python says of it."""
    found = re.search(r"\(os error (\d+)\)", text)
    return int(found[1]) if found else None


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
