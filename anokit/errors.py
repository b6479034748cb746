"""Errors that are a user's to mend: shown as one message, without a traceback."""

from __future__ import annotations

import math
from collections.abc import Mapping
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

    Examples
    --------
    >>> from anokit import AnokitError, DataError
    >>> try:
    ...     raise DataError("faces: images differ in size; set [dataset] size")
    ... except AnokitError as error:
    ...     print(f"error: {error} (exit code {error.exit_code})")
    error: faces: images differ in size; set [dataset] size (exit code 1)
    """

    exit_code = 1

    score_key: str | None = None
    """which score's code it comes from; empty where that is known to be none's"""


class UsageError(AnokitError):
    """The command line asks for something that cannot be: an unknown path, a wrong combination.

    Examples
    --------
    >>> from anokit import UsageError
    >>> raise UsageError('--watch acme.depth: no watcher of that name; there is: ledger')
    Traceback (most recent call last):
        ...
    anokit.errors.UsageError: --watch acme.depth: no watcher of that name; there is: ledger
    """

    exit_code = 2


class RecipeError(AnokitError):
    """A recipe is wrong. One error carries all that is wrong with the file.

    Examples
    --------
    >>> from anokit import RecipeError
    >>> raise RecipeError('faces.toml: backbone.width: expected an even number, got 7')
    Traceback (most recent call last):
        ...
    anokit.errors.RecipeError: faces.toml: backbone.width: expected an even number, got 7
    """

    exit_code = 2


class PluginError(AnokitError):
    """A plugin does not keep its contract, or code of a plugin failed while it was running.

    Examples
    --------
    >>> from anokit import PluginError
    >>> raise PluginError("score 'angle' reads latent, which the backbone left unfilled")
    Traceback (most recent call last):
        ...
    anokit.errors.PluginError: score 'angle' reads latent, which the backbone left unfilled
    """


class DataError(AnokitError):
    """Images or a folder cannot be used as they are.

    Examples
    --------
    >>> from anokit import DataError
    >>> raise DataError("score 'angle': expected more than k = 5 training images, got 3")
    Traceback (most recent call last):
        ...
    anokit.errors.DataError: score 'angle': expected more than k = 5 training images, got 3
    """


class MissingDataError(DataError):
    """The data set is not there. The text shows the expected tree.

    A dataset raises this one, and no other, when a simulated stand-in would be of use: it is what
    ``when_missing = "simulate"`` answers.

    Examples
    --------
    >>> from anokit import MissingDataError
    >>> raise MissingDataError("no data/faces: expected data/faces/ with train/ and test/")
    Traceback (most recent call last):
        ...
    anokit.errors.MissingDataError: no data/faces: expected data/faces/ with train/ and test/
    """


class TrainingError(AnokitError):
    """Training cannot go on: a loss that is not finite, no space for the checkpoint.

    Examples
    --------
    >>> from anokit import TrainingError
    >>> raise TrainingError("backbone 'mine': loss is nan in step 120; lower learning_rate")
    Traceback (most recent call last):
        ...
    anokit.errors.TrainingError: backbone 'mine': loss is nan in step 120; lower learning_rate
    """


class CheckpointError(AnokitError):
    """A file of weights or a run directory cannot be read, or belongs to another recipe.

    Examples
    --------
    >>> from anokit import CheckpointError
    >>> raise CheckpointError('weights.safetensors: holds 12 tensors, expected 14')
    Traceback (most recent call last):
        ...
    anokit.errors.CheckpointError: weights.safetensors: holds 12 tensors, expected 14
    """


LONGEST = 80
"""Characters of a wrong value that a message shows."""


def shortened(value: Any) -> str:
    """Return a wrong value as a message shows it: its `repr`, cut where that is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


MOST_WHOLE = 2**63 - 1
"""The largest whole number: what TOML, safetensors and PyTorch hold."""

LARGEST = 3.4028234663852886e38
"""The largest number of float32, in which networks compute: of a larger one PyTorch makes no
step size, or infinity."""


def out_of_range(value: Any) -> str:
    """Return what is wrong with a number in ``value``, or in what it holds; empty where all fit.

    A float must be finite, in float32 too. A whole number must have at most 64 bits: of more, no
    float may be made.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected finite numbers, got {value}"
    if isinstance(value, float) and abs(value) > LARGEST:
        return f"expected numbers up to 3.4e38, the largest of float32, got {value:g}"
    if isinstance(value, int) and abs(value) > MOST_WHOLE:
        return f"expected numbers of at most 64 bits, got {shortened(value)}"
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple, set, frozenset)):
        return ""
    return next((problem for one in value if (problem := out_of_range(one))), "")


class Interrupted(AnokitError):
    """Ctrl-C or SIGTERM; the text says what was kept, and which command goes on."""

    exit_code = 130
