"""What a check is: one promise, about one plugin or component, that can be put to the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from anokit.errors import AnokitError
from anokit.registry.entries import Entry

T = TypeVar("T")


class CheckFailed(AnokitError, AssertionError):
    """A plugin breaks a promise; the text says what was expected and what was found.

    Examples
    --------
    >>> from anokit.testing import CheckFailed
    >>> raise CheckFailed("one image got 2 numbers, expected 1")
    Traceback (most recent call last):
        ...
    anokit.testing.check.CheckFailed: one image got 2 numbers, expected 1
    """


class CheckWarning(UserWarning):
    """What a check found that is no failure, and that an author should know.

    Examples
    --------
    >>> import warnings
    >>> from anokit.testing import CheckWarning
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     warnings.warn("no licence is stated", CheckWarning, stacklevel=1)
    >>> [str(one.message) for one in told]
    ['no licence is stated']
    """


@dataclass(frozen=True)
class Promise:
    """A kind of check: it is made into a `Check` for everything that it is about."""

    name: str
    about: str
    """``plugin``, ``component`` (of any kind), or one of the kinds"""
    since: str
    text: str
    test: Callable[[Any], None]


@dataclass(frozen=True)
class Check:
    """One promise about one subject. Calling it tests the promise.

    A call returns where the promise is kept, raises `CheckFailed` (or whatever the plugin itself
    raised) where it is not, and `unittest.SkipTest` where nothing can be told.

    Examples
    --------
    >>> from anokit.testing import collect_checks
    >>> checks = collect_checks("anokit_pixels.plugin")
    >>> check = next(one for one in checks if one.name == "check_plugin_hooks_known")
    >>> check.id
    'check_plugin_hooks_known[anokit-pixels]'
    >>> check.promise
    'every hook that the plugin implements is one that anokit calls.'
    >>> check()
    """

    name: str
    """such as ``check_score_shape``"""
    subject: str
    """name of the plugin or of the component"""
    since: str
    """version of anokit that brought the check"""
    promise: str
    """one sentence: what is promised"""
    test: Callable[[], None]
    """what is called"""
    entry: Entry | None = None
    """the component that it is about; None for a check of the plugin as a whole"""

    @property
    def id(self) -> str:
        """Return ``check_score_shape[lr]``: how reports and ``expected_failures`` name it."""
        return f"{self.name}[{self.subject}]"

    def __call__(self) -> None:
        """Test the promise."""
        self.test()


PROMISES: list[Promise] = []
"""Every promise, in the order in which they are checked."""


def promise(about: str, *, since: str) -> Callable[[Callable[[T], None]], Callable[[T], None]]:
    """Make a function a check of everything of the kind ``about``.

    Its docstring, ``Check that …``, is the promise in words.
    """

    def register(test: Callable[[T], None]) -> Callable[[T], None]:
        text = (test.__doc__ or "").strip().splitlines()[0].removeprefix("Check that ")
        PROMISES.append(Promise(test.__name__, about, since, text, test))
        return test

    return register


def expect(holds: object, message: str) -> None:
    """Raise `CheckFailed` with ``message`` unless ``holds``."""
    # Not `assert`: the kit is installed code, which `python -O` must not empty.
    if not holds:
        fail(message)


def fail(message: str) -> NoReturn:
    """Raise `CheckFailed`."""
    raise CheckFailed(message)
