"""What components leave as it was: the state of the process, compared as every run does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anokit.registry.entries import Entry
from anokit.registry.guard import guarded, telling
from anokit.testing.check import expect

__all__ = ["untouched"]


def untouched(entry: Entry, calls: Mapping[str, Callable[[], object]]) -> None:
    """Make calls, each by what the component is doing, and fail where one changed the process.

    Raises
    ------
    CheckFailed
        With a line for each call that changed something.
    PluginFault
        Where a call raises.
    """
    said: list[str] = []
    with telling(said.append):
        for doing, call in calls.items():
            with guarded(entry, doing):
                call()
    expect(not said, "\n".join(said))
