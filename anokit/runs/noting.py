"""Sentences on what components change of the process, told where all else of a command is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anokit.registry.guard import telling
from anokit.watching import Watcher


@contextmanager
def noting(watcher: Watcher) -> Iterator[list[str]]:
    """Warn of what components change that is not theirs; yields the sentences, for the results."""
    told: list[str] = []

    def note(text: str) -> None:
        told.append(text)
        watcher.warning(text)

    with telling(note):
        yield told
