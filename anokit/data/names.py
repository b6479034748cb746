"""Names of files, which may hold any bytes, as text that can be shown and written."""

from __future__ import annotations

import os
import re
from pathlib import Path


def readable(name: str) -> str:
    r"""Return a file's name as text that every file and terminal can hold.

    Bytes that are no UTF-8 become ``\xff``; all other names stay as they are.
    """
    return octets_of(name).decode("utf-8", "backslashreplace")


def octets_of(name: str) -> bytes:
    """Return the bytes of a file's name, from a table or from the system, whatever its locale."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character that came from no file system
        return name.encode("utf-8", "backslashreplace")


def file_called(name: str) -> Path:
    r"""Return the path of the file that `readable` made ``name`` of.

    A file that is called so, backslashes and all, comes first. Where the system's names are not in
    UTF-8, as in a locale of ASCII, those of tables still are.
    """
    path = Path(os.fsdecode(octets_of(name)))
    if "\\x" not in name or os.path.lexists(path):
        return path
    octets = re.sub(
        rb"\\x([89a-f][0-9a-f])", lambda found: bytes([int(found[1], 16)]), octets_of(name)
    )
    other = Path(os.fsdecode(octets))
    return other if os.path.lexists(other) else path


def shown(name: str) -> str:
    r"""Return a file's name on one line of a terminal: what cannot be printed is escaped."""
    text = readable(name)
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
