"""Names of files, which may hold any bytes, as text that can be shown and written."""

from __future__ import annotations

import os
import re
from pathlib import Path


def readable(name: str) -> str:
    r"""Return a file's name as text that every file and terminal can hold.

    Bytes that are no UTF-8 become ``\xff``; all other names stay as they are.
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character that came from no file system
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def file_called(name: str) -> Path:
    r"""Return the path of the file that `readable` made ``name`` of.

    A file that is called so, backslashes and all, comes first.
    """
    path = Path(name)
    if "\\x" not in name or os.path.lexists(path):
        return path
    octets = re.sub(
        rb"\\x([89a-f][0-9a-f])", lambda found: bytes([int(found[1], 16)]), os.fsencode(name)
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
