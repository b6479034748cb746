"""Tell whose fault it was: an exception inside a component names its plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from anokit.errors import AnokitError, PluginError
from anokit.registry.entries import Entry

Blaming = Callable[[], AbstractContextManager[None]]
"""Makes the context in which the code of one component runs: `blame` with its arguments given."""


class PluginFault(PluginError):
    """Code of a component raised; the exception itself is the cause, shown with its traceback."""


@contextmanager
def blame(entry: Entry, doing: str) -> Iterator[None]:
    """Turn an exception of a component into a `PluginFault` that names it and what it was doing.

    Errors that are a user's to mend, memory that ran out and interrupts pass through.
    """
    try:
        yield
    except (AnokitError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's; torch is not imported for it
            raise
        raise PluginFault(
            f"{entry.kind} {entry.component.name!r} of {entry.plugin} {entry.version} failed "
            f"while {doing}: {type(error).__name__}: {error}"
        ) from error
