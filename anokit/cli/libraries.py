"""What libraries warn of, as sentences: never a file name, a line of code or a date."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import TextIO

_said: set[str] = set()


def say_in_sentences() -> None:
    """Have warnings and log lines that nobody handles said on stderr, each of them once."""
    warnings.showwarning = _say_warning
    logging.lastResort = _Sentences(logging.WARNING)


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _say(_library_of(filename), str(message))


class _Sentences(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Say a log line."""
        _say(record.name.partition(".")[0], record.getMessage())


def _library_of(filename: str) -> str:
    """Return the name of the package that a file belongs to, as far as its path tells."""
    parts = Path(filename).parts
    for place in ("site-packages", "dist-packages"):
        if place in parts[:-1]:
            return Path(parts[parts.index(place) + 1]).stem
    return "anokit" if "anokit" in parts else Path(filename).stem


def _say(library: str, text: str) -> None:
    words = " ".join(text.split())
    sentence = f"warning: {words}" if library == "anokit" else f"warning: {library} says: {words}"
    if sys.stderr is not None and sentence not in _said:
        _said.add(sentence)
        print(sentence, file=sys.stderr)
