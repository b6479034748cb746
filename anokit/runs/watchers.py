"""Watchers that plugins offer: which ones a run is to have, and telling all what goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from anokit.errors import UsageError
from anokit.recipe.changes import toml_value
from anokit.recipe.checks import Faults
from anokit.registry.lookup import Registry, UnknownComponentError
from anokit.runs.watcher_thread import ThreadedWatcher, quiet_threads
from anokit.watching import Advance, Watcher

if TYPE_CHECKING:
    from anokit.registry.entries import Entry
    from anokit.types import Phase

VARIABLE = "ANOKIT_WATCH"
"""Environment variable with more of what ``--watch`` takes, commas between."""

PATIENCE = 60.0
"""Seconds that a finished run waits for its watchers at most."""
PATIENCE_STOPPED = 10.0
"""The same of a run that was interrupted or failed: somebody may be waiting to kill it."""
SILENCE = 2.0
"""Seconds of waiting after which the user is told for whom."""


def choose(given: Sequence[str], registry: Registry) -> list[ThreadedWatcher]:
    """Return the watchers that ``--watch`` and the environment ask for, with their options.

    Parameters
    ----------
    given
        ``NAME`` switches a watcher on, ``NAME.OPTION=VALUE`` sets an option of it as well.

    Raises
    ------
    UsageError
        Where there is no such watcher, or with all that is wrong with its options.
    """
    words = [(VARIABLE, word) for word in os.environ.get(VARIABLE, "").split(",")]
    words += [("--watch", word) for word in given]
    tables: dict[str, tuple[str, Entry, dict[str, Any]]] = {}
    for source, word in ((source, word.strip()) for source, word in words):
        if not word and source == VARIABLE:
            continue
        path, equals, value = word.partition("=")
        name, dot, option = path.strip().rpartition(".") if equals else (path, ".", "-")
        if not (name and dot and option):
            raise UsageError(
                f"{source} {word}: expected NAME or NAME.OPTION=VALUE, as anokit list-plugins "
                "--kind watcher and anokit describe watcher NAME show them"
            )
        try:
            entry = registry.get("watcher", name)
        except UnknownComponentError as error:
            raise UsageError(f"{source} {word}: {error}") from None
        _, known, options = tables.setdefault(entry.component.name, (source, entry, {}))
        if known is not entry:
            raise UsageError(
                f"{source} {word}: a run has one watcher of a name; "
                f"{known.qualified} is another one, drop one of them"
            )
        if equals:
            options[option] = toml_value(value)
    return [_watcher(*parts) for parts in tables.values()]


def _watcher(source: str, entry: Entry, options: Mapping[str, Any]) -> ThreadedWatcher:
    component, faults = entry.component, Faults()
    try:
        return ThreadedWatcher(entry, component.options.model_validate(dict(options)))
    except ValidationError as error:
        faults.add_validation(component.name, error, component.options, repr(component.name))
    raise UsageError("\n".join(f"{source} {where}: {what}" for where, what in faults.found))


@contextmanager
def watched(display: Watcher, others: Sequence[ThreadedWatcher]) -> Iterator[Watcher]:
    """Yield who tells a display and the watchers of plugins what goes on in the body.

    At the end it waits for these, not forever. What one of them did wrong is a warning of the
    display; it never ends the run.
    """
    if not others:
        yield display
        return
    watchers = Watchers(display, others)
    patience = PATIENCE_STOPPED
    with quiet_threads():
        for other in others:
            other.start()
        try:
            yield watchers
            patience = PATIENCE
        finally:
            watchers.close(patience)


class Watchers(Watcher):
    """A display and the watchers of plugins as one watcher. The display is told first."""

    def __init__(self, display: Watcher, others: Sequence[ThreadedWatcher]) -> None:
        self.display, self.others = display, others
        self._told: set[str] = set()

    def close(self, patience: float) -> None:
        """Wait ``patience`` seconds at most until the watchers of plugins were told everything."""
        end = time.monotonic() + patience
        for other in self.others:
            other.close()
        for other in self.others:
            if not other.join(min(SILENCE, patience)) and not other.fault:
                self.display.notice(f"waiting for {other.name}, {patience:.0f} s at most")
                if not other.join(max(0.0, end - time.monotonic())):
                    other.give_up(f"is not done after {patience:.0f} s")
        self._blame()

    def _blame(self) -> None:
        """Tell the display what went wrong with others, each thing once."""
        for other in self.others:
            if other.fault and other.fault not in self._told:
                self._told.add(other.fault)
                self.display.warning(f"{other.fault}; the run goes on without it")
            said = f"{other.name} prints, which is not shown: {other.printed.line}"
            if other.printed.line and other.name not in self._told:
                self._told.add(other.name)
                self.display.notice(said)

    def _all(self) -> Iterator[Watcher]:
        self._blame()
        yield self.display
        yield from self.others

    def begun(
        self, directory: Path, recipe: Mapping[str, Any], kept: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Tell all."""
        for watcher in self._all():
            watcher.begun(directory, recipe, kept)
        return None

    def finished(self, directory: Path, results: Mapping[str, Any]) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.finished(directory, results)

    def stopped(self, why: str, *, interrupted: bool) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.stopped(why, interrupted=interrupted)

    def notice(self, text: str) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.notice(text)

    def warning(self, text: str) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.warning(text)

    def banner(self, text: str) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.banner(text)

    def data(self, text: str) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.data(text)

    def training(self, total: int) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.training(total)

    def phase(self, phase: Phase, number: int, of: int, steps: int, done: int, shown: int) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.phase(phase, number, of, steps, done, shown)

    def step(self, images: int, seconds: float) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.step(images, seconds)

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.metrics(line)

    def track(self, what: str, total: int) -> Advance:
        """Tell all, and return what tells all how many more are done."""
        advances = [watcher.track(what, total) for watcher in self._all()]

        def advance(count: float) -> None:
            for one in advances:
                one(count)

        return advance

    def done(self) -> None:
        """Tell all."""
        for watcher in self._all():
            watcher.done()
