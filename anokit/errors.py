"""Errors that are a user's to mend: shown as one message, without a traceback."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AnokitError",
    "CheckpointError",
    "DataError",
    "MissingDataError",
    "PluginError",
    "RecipeError",
    "TrainingError",
    "UsageError",
]


class AnokitError(Exception):
    """Base of every error that anokit raises on purpose.

    Its text says what is wrong, where, what was got and expected, and what to do next. The command
    line prints it without a traceback and exits with ``exit_code``; every other exception is a bug
    and keeps its traceback.
    """

    exit_code = 1

    score_key: str | None = None
    """which score's code it comes from; empty where that is known to be none's"""


class UsageError(AnokitError):
    """The command line asks for something that cannot be: an unknown path, a wrong combination."""

    exit_code = 2


class RecipeError(AnokitError):
    """A recipe is wrong. One error carries all that is wrong with the file."""

    exit_code = 2


class PluginError(AnokitError):
    """A plugin does not keep its contract, or code of a plugin failed while it was running."""


class DataError(AnokitError):
    """Images or a folder cannot be used as they are."""


class MissingDataError(DataError):
    """The data set is not there. The text shows the expected tree.

    A dataset raises this one, and no other, when a simulated stand-in would be of use: it is what
    ``when_missing = "simulate"`` answers.
    """


class TrainingError(AnokitError):
    """Training cannot go on: a loss that is not finite, no space for the checkpoint."""


class CheckpointError(AnokitError):
    """A file of weights or a run directory cannot be read, or belongs to another recipe."""


LONGEST = 80
"""Characters of a wrong value that a message shows."""


def shortened(value: Any) -> str:
    """Return a wrong value as a message shows it: its `repr`, cut where that is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
