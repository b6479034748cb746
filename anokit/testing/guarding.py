"""What components leave as it was: the state of the process, compared as every run does."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping

import torch

from anokit.registry.entries import Entry
from anokit.registry.guard import Draws, guarded, telling
from anokit.testing.check import expect

__all__ = ["untouched"]


def untouched(
    entry: Entry, calls: Mapping[str, Callable[[], object]], draws: Draws = "told"
) -> None:
    """Make calls, each by what the component is doing, and fail where one changed the process.

    ``draws`` is as for `guarded`: constructors, and what they import, may draw at random.

    Raises
    ------
    CheckFailed
        With a line for each call that changed something.
    PluginFault
        Where a call raises.
    """
    said: list[str] = []
    with telling(said.append), guarded(entry, "being checked", draws="restored"):
        for doing, call in calls.items():
            _draw()  # whoever sets a seed may have set it before
            with guarded(entry, doing, draws=draws):
                call()
    expect(not said, "\n".join(said))


def _draw() -> None:
    """Bring the global random generators into a state that no seed gives."""
    torch.rand(())
    random.random()
    sys.modules["numpy"].random.random()
