"""Tell whose fault it was: an exception inside a component names its plugin and the line in it."""

from __future__ import annotations

import dis
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from anokit.errors import AnokitError, PluginError
from anokit.registry.entries import Entry

Blaming = Callable[[], AbstractContextManager[None]]
"""Makes the context in which the code of one component runs: `blame` with its arguments given."""

MOST_SAID = 200
"""Characters of what a library says where memory ran out; traces of C++ may follow."""

NO_MEMORY = re.compile(
    r"not enough memory|can(no|')t allocate|bad_?alloc|out of memory|size calculation overflow"
    r"|multiplication overflow|array is too big|[Mm]aximum allowed (dimension|size)|too large to"
)
"""What NumPy, PyTorch and the system say where memory, or the count of its bytes, does not do."""

CORE = Path(__file__).resolve().parents[1]
LIBRARIES = Path(sysconfig.get_paths()["purelib"])


class PluginFault(PluginError):
    """Code of a component raised, or did what it may not; an exception of its own is the cause.

    ``place`` is that of the image that it went wrong with, in its batch, where it is one image.
    """

    def __init__(self, text: str, place: int | None = None) -> None:
        super().__init__(text)
        self.place = place

    def adding(self, text: str) -> PluginFault:
        """Return the same fault with more said at the end of its line."""
        more = type(self)(f"{self}{text}", self.place)
        more.__cause__ = self.__cause__
        return more


@contextmanager
def blame(entry: Entry, doing: str) -> Iterator[None]:
    """Turn an exception of a component into a `PluginFault` that names it and what it was doing.

    Errors that are a user's to mend pass through, and so does Ctrl-C. A plugin that would end the
    process, or raises `KeyboardInterrupt` itself, is at fault like any other.
    """
    try:
        yield
    except AnokitError:
        raise
    except BaseException as error:
        if asked_for(error):
            raise
        text = told(error)
        if memory_ran_out(error):
            said = " ".join(str(error).split())[:MOST_SAID] or "no more could be had"
            text = f"memory ran out ({said}); smaller batches, or a smaller network, need less"
        raise _fault(entry, doing, error, text) from error


def told(error: BaseException) -> str:
    """Return in words what a plugin's code raised, also where it is what would end a process."""
    if isinstance(error, KeyboardInterrupt):
        return "KeyboardInterrupt, and nobody pressed Ctrl-C"
    ends = "; a plugin may not end the process" if isinstance(error, SystemExit) else ""
    return f"{type(error).__name__}: {error}{ends}"


def asked_for(error: BaseException) -> bool:
    """Return whether an exception ends a plugin's code because somebody else wants it to end.

    That is Ctrl-C, but not a plugin's own ``raise KeyboardInterrupt``; and a generator's end.
    """
    if isinstance(error, KeyboardInterrupt):
        return not _raised_by_hand(error)
    return isinstance(error, GeneratorExit)


def memory_ran_out(error: BaseException) -> bool:
    """Return whether an exception of Python, NumPy or PyTorch says that memory does not do.

    Sizes that no memory could have, for which not even the bytes can be counted, are among them.
    """
    # torch has a class of its own for a device's memory; torch is not imported for it.
    if isinstance(error, MemoryError | OverflowError) or (
        type(error).__name__ == "OutOfMemoryError"
    ):
        return True
    return isinstance(error, RuntimeError | ValueError | OSError) and bool(
        NO_MEMORY.search(str(error))
    )


def who(entry: Entry) -> str:
    """Return a component in the words that every fault begins with."""
    return f"{entry.kind} {entry.component.name!r} of {entry.plugin} {entry.version}"


def _fault(entry: Entry, doing: str, error: BaseException, text: str) -> PluginFault:
    where = line_of(entry, error)
    return PluginFault(f"{who(entry)} failed while {doing}: {text}{f' ({where})' if where else ''}")


def line_of(entry: Entry, error: BaseException) -> str:
    """Return ``file:line`` of the author's code that an exception came from; empty if unknown."""
    frames = traceback.extract_tb(error.__traceback__)
    home = _home(entry)
    own = [f for f in frames if home and Path(f.filename).is_relative_to(home)]
    # A factory may come from elsewhere: then the last line that is not the core's or a library's.
    others = [f for f in frames if not Path(f.filename).is_relative_to(CORE)]
    own = own or [f for f in others if not Path(f.filename).is_relative_to(LIBRARIES)] or others
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def place_of(called: Any) -> str:
    """Return ``file:line`` where a function, a method, or what a call of an object runs, begins."""
    for found in (called, getattr(type(called), "forward", None), type(called).__call__):
        code = getattr(getattr(found, "__func__", found), "__code__", None)
        if isinstance(code, CodeType):
            return f"{code.co_filename}:{code.co_firstlineno}"
    return ""


def _home(entry: Entry) -> Path | None:
    """Return the folder of a component's package, or the file of its module."""
    factory = entry.component.factory
    module = factory if isinstance(factory, str) else getattr(factory, "__module__", "")
    found = sys.modules.get(str(module).partition(":")[0].partition(".")[0])
    file = getattr(found, "__file__", None)
    if file is None:
        return None
    return Path(file).parent if Path(file).name == "__init__.py" else Path(file)


def _raised_by_hand(error: BaseException) -> bool:
    """Return whether a ``raise`` of somebody else's code made an exception, rather than a signal.

    Ctrl-C arrives between any two instructions, or in the core's own handler.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or Path(trace.tb_frame.f_code.co_filename).is_relative_to(CORE):
        return False
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
