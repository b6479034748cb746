"""What failed checks have in common: one fault of an author's code often fails many."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anokit.registry.blame import PluginFault, line_of, place_of
from anokit.registry.entries import Entry
from anokit.store.certificate import Outcome
from anokit.testing.check import CheckFailed


@dataclass(frozen=True)
class Cause:
    """One fault, and the checks that it fails."""

    subject: str
    where: str
    message: str
    checks: tuple[str, ...]


def place_of_failure(error: BaseException, entry: Entry | None) -> str:
    """Return ``file:line`` of the author's code that a failure is about; empty if unknown.

    That is the line that raised, where one did, else the line where the component begins.
    """
    if entry is None:
        return ""
    for one in _chain(error):
        # These are raised by anokit, on the way through libraries of Python's own.
        if not isinstance(one, PluginFault | CheckFailed) and (where := line_of(entry, one)):
            return where
    try:
        factory = entry.component.load()
        if inspect.isclass(factory):
            return f"{inspect.getsourcefile(factory)}:{inspect.getsourcelines(factory)[1]}"
    except Exception:
        return ""  # what cannot be imported has no line
    return place_of(factory)


def words_of(error: BaseException) -> str:
    """Return what failed in words: what the author's code raised, where the error only tells it."""
    for one in reversed(list(_chain(error))):
        kind = "" if isinstance(one, AssertionError) else f"{type(one).__name__}: "
        said = f"{kind}{one}"
        if one is error or said in str(error):
            return said
    return str(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def grouped(results: Sequence[Outcome]) -> list[Cause]:
    """Return failed checks by what failed them, in the order of the first check of each.

    Two failures have one cause where the same line of the same component raised the same, or where
    the kit says the same of it but for its figures.
    """
    found: dict[tuple[str, str, str], list[Outcome]] = {}
    for result in results:
        if result.outcome == "failed":
            subject = result.subject.rpartition(" ")[2]
            said = re.sub(r"-?\d[\d.,e+-]*", "#", result.message)
            found.setdefault((subject, result.where, said), []).append(result)
    return [
        Cause(
            subject,
            where,
            same[0].message,
            tuple(f"{result.check}[{result.subject}]" for result in same),
        )
        for (subject, where, _), same in found.items()
    ]
