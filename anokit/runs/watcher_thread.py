"""A plugin's watcher in a thread of its own, where it can neither stop, slow nor change a run."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from anokit.errors import AnokitError
from anokit.plugin import Options
from anokit.registry.entries import Entry
from anokit.store.files import write_json
from anokit.types import Phase
from anokit.watching import Advance, Watcher

WAITING = 10_000
"""Calls that may wait for a watcher; one that leaves more waiting does not keep up."""

Call = tuple[str, Callable[[Watcher], object]]
"""What a watcher is told of, and what tells it."""


class ThreadedWatcher(Watcher):
    """Tells one plugin's watcher what goes on, in a thread of its own, until it fails.

    Nothing here raises for a watcher's fault. What it was is in ``fault``, one line.
    """

    def __init__(self, entry: Entry, options: Options) -> None:
        self.entry, self.options = entry, options
        component = entry.component
        self.name = f"watcher {component.name!r} of {entry.plugin} {entry.version}"
        self.fault = ""
        """why it is told nothing more"""
        self.details = ""
        """the traceback of the fault"""
        self.printed = Printed()
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._steps = (0, 0.0)
        self._advanced = 0.0
        self._advance: Advance | None = None
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin to build the watcher, which imports what it needs."""
        self._thread.start()

    def close(self) -> None:
        """Say that nothing more will be told."""
        self._flush()
        self._calls.put(None)

    def join(self, seconds: float) -> bool:
        """Wait until all is told, ``seconds`` at most; return whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        """Build the watcher and tell it what waits, until the end or a fault."""
        doing = "being built"
        with hushed(self.printed):
            try:
                watcher = self.entry.component.load()(self.options)
                if not isinstance(watcher, Watcher):
                    raise TypeError(f"got a {type(watcher).__name__}, expected an anokit.Watcher")
                while (call := self._calls.get()) is not None and not self.fault:
                    doing, tell = f"being told of {call[0]}", call[1]
                    tell(watcher)
            except AnokitError as error:
                self._fail(f": {error}", traceback.format_exc())
            except BaseException as error:
                text = f" failed while {doing}: {type(error).__name__}: {error}"
                self._fail(text, traceback.format_exc())

    def give_up(self, what: str) -> None:
        """Tell it nothing more, because of ``what``."""
        self._fail(f" {what}")

    def _fail(self, what: str, details: str = "") -> None:
        if not self.fault:
            line = " ".join(f"{self.name}{what}".split())
            self.details, self.fault = details, line if len(line) <= 500 else f"{line[:500]}…"

    def _tell(self, what: str, tell: Callable[[Watcher], object]) -> None:
        if self.fault:
            return
        if self._calls.qsize() >= WAITING:
            self.give_up(f"does not keep up: {WAITING:,} calls wait for it")
            return
        self._flush()
        self._calls.put((what, tell))

    def _flush(self) -> None:
        """Tell the steps and images that were counted while the watcher was busy."""
        if self._steps[0]:
            (images, seconds), self._steps = self._steps, (0, 0.0)
            self._calls.put(("a step", lambda watcher: watcher.step(images, seconds)))
        if self._advanced:
            count, self._advanced = self._advanced, 0.0
            self._calls.put(("progress", lambda _: self._advance and self._advance(count)))

    # What it is told; whatever it could change is a copy

    def begun(
        self, directory: Path, recipe: Mapping[str, Any], kept: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Note that a run begins; what the watcher wants kept lies in the run directory."""
        name = self.entry.component.name
        place, mine = directory / f"watch-{name}.json", copy.deepcopy(dict(recipe))

        def tell(watcher: Watcher) -> None:
            new = watcher.begun(directory, mine, self._kept(place))
            if new is not None:
                text = json.dumps(dict(new))  # shows what JSON cannot hold
                write_json(place, {"watcher": self.entry.qualified, "kept": json.loads(text)})

        self._tell("the beginning", tell)
        return None

    def _kept(self, place: Path) -> dict[str, Any]:
        """Return what the watcher kept; nothing where the file is damaged or another one's."""
        try:
            content: Any = json.loads(place.read_text(encoding="utf-8"))
            mine = content["watcher"] == self.entry.qualified
            return dict(content["kept"]) if mine else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def finished(self, directory: Path, results: Mapping[str, Any]) -> None:
        """Note that the run is finished."""
        mine = copy.deepcopy(dict(results))
        self._tell("the results", lambda watcher: watcher.finished(directory, mine))

    def stopped(self, why: str, *, interrupted: bool) -> None:
        """Note that the run ends before it is finished."""
        self._tell("the end", lambda watcher: watcher.stopped(why, interrupted=interrupted))

    def notice(self, text: str) -> None:
        """Hand on a sentence."""
        self._tell("a notice", lambda watcher: watcher.notice(text))

    def warning(self, text: str) -> None:
        """Hand on a sentence that should worry the user."""
        self._tell("a warning", lambda watcher: watcher.warning(text))

    def banner(self, text: str) -> None:
        """Hand on a sentence that nobody may overlook."""
        self._tell("a banner", lambda watcher: watcher.banner(text))

    def data(self, text: str) -> None:
        """Hand on what the run reads."""
        self._tell("the data", lambda watcher: watcher.data(text))

    def training(self, total: int) -> None:
        """Note that training begins."""
        self._tell("training", lambda watcher: watcher.training(total))

    def phase(self, phase: Phase, number: int, of: int, steps: int, done: int, shown: int) -> None:
        """Note a phase, of which what trains is taken away."""
        bare = dataclasses.replace(phase, step=_nothing, optimisers=dict, finished=None)
        self._tell("a phase", lambda watcher: watcher.phase(bare, number, of, steps, done, shown))

    def step(self, images: int, seconds: float) -> None:
        """Count a step, and tell it once the watcher has time."""
        self._steps = (self._steps[0] + images, self._steps[1] + seconds)
        if not self.fault and self._calls.empty():
            self._flush()

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Hand on a line of metrics.jsonl."""
        mine = copy.deepcopy(dict(line))
        self._tell("metrics", lambda watcher: watcher.metrics(mine))

    def track(self, what: str, total: int) -> Advance:
        """Note work of a known length."""

        def tell(watcher: Watcher) -> None:
            self._advance = watcher.track(what, total)

        self._tell("progress", tell)
        return self._count

    def _count(self, count: float) -> None:
        self._advanced += count
        if not self.fault and self._calls.empty():
            self._flush()

    def done(self) -> None:
        """Note that training, or the work that is tracked, is over."""
        self._tell("progress", lambda watcher: watcher.done())


def _nothing(batch: object) -> dict[str, Any]:
    """Stand in for a step of training."""
    return {}


class Printed:
    """Takes what a watcher prints and keeps the first line of it."""

    def __init__(self) -> None:
        self.text = ""

    @property
    def line(self) -> str:
        """Return the first line, or as much of it as there is."""
        return self.text.strip().partition("\n")[0].strip()

    def write(self, text: str) -> int:
        """Take text."""
        if len(self.text) < 1000:
            self.text += text
        return len(text)


_TAKERS: dict[int, Printed] = {}
"""By thread: who takes what it prints."""


class _Stream:
    """A stream to which the threads of watchers do not write; to all others it is as it was."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def write(self, text: str) -> int:
        """Write text, or give it to who takes this thread's."""
        return int((_TAKERS.get(threading.get_ident()) or self._own).write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


@contextmanager
def hushed(taker: Printed) -> Iterator[None]:
    """Give what this thread prints in the body to ``taker``, while `quiet_threads` holds."""
    _TAKERS[threading.get_ident()] = taker
    try:
        yield
    finally:
        del _TAKERS[threading.get_ident()]


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Have streams that threads of watchers do not write to, in the body."""
    own = sys.stdout, sys.stderr
    streams = _Stream(sys.stdout), _Stream(sys.stderr)
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        # Whoever changed them in the meantime has put them back, or wants them as they are.
        if (sys.stdout, sys.stderr) == streams:
            sys.stdout, sys.stderr = own
