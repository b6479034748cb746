"""Names of files, which may hold any bytes, as text that can be shown and written."""

from __future__ import annotations

import os

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def written(name: str) -> str:
    r"""Return a file's name as it stands in a table: UTF-8, the name of the same file.

    Bytes that are no UTF-8 are written as ``\xff``. A relative name that a spreadsheet would take
    for a formula gets ``./`` before it, and still leads to the file.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return f"./{text}" if text.startswith(FORMULA) else text


def shown(name: str) -> str:
    r"""Return a file's name on one line of a terminal: what cannot be printed is escaped."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
