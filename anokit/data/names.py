"""Names of files, which may hold any bytes, as text that can be shown and written."""

from __future__ import annotations


def readable(name: str) -> str:
    r"""Return a file's name as text that every file and terminal can hold.

    Bytes that are no UTF-8 become ``\xff``; all other names stay as they are.
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character that came from no file system
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(name: str) -> str:
    r"""Return a file's name on one line of a terminal: what cannot be printed is escaped."""
    text = readable(name)
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
