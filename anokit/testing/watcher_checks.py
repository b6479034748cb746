"""Checks of watchers: told of a whole run, they leave everything that is the run's as it was."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anokit.testing.check import expect, fail, promise
from anokit.testing.guarding import untouched
from anokit.testing.offline import asks_nothing
from anokit.testing.subject import Subject
from anokit.types import Phase
from anokit.watching import Watcher

FILES = ("recipe.toml", "resolved.json", "split.json", "results.json", "report.html")
RECIPE = {"title": "Toys", "seed": 1, "quick": False, "scores": [{"name": "lr", "terms": []}]}
ESTIMATE = {"value": 0.9, "low": 0.8, "high": 0.95}
RESULTS = {
    "title": "Toys",
    "data": "real",
    "rows": [
        {"name": "lr", "threshold": 1.5, "metrics": {"auroc": ESTIMATE, "f1": None}},
        {"name": "mean", "kind": "baseline", "threshold": None, "metrics": None},
    ],
}


@dataclass(frozen=True)
class WatcherSubject(Subject):
    """A watcher, which is told of runs in a folder that is away afterwards."""

    @contextmanager
    def somewhere(self) -> Iterator[tuple[Callable[[], Watcher], Path]]:
        """Yield what makes a watcher, and a run directory; the current folder is another one."""
        with tempfile.TemporaryDirectory() as folder:
            directory, away = Path(folder) / "run", Path(folder) / "away"
            directory.mkdir()
            away.mkdir()
            for name in FILES:
                (directory / name).write_text("{}\n", encoding="utf-8")
            model, options = self.entry.component.options, self.options
            if self.sample is not None:
                options = model.model_validate(dict(self.sample(away)))
            here = Path.cwd()
            os.chdir(away)
            try:
                yield lambda: self.entry.component.load()(options), directory
            finally:
                os.chdir(here)


def begin(watcher: Watcher, directory: Path, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Tell a watcher of a run up to its training; return what it wants kept, as read back."""
    new = watcher.begun(directory, dict(RECIPE), kept)
    watcher.notice("reading toys")
    watcher.banner("QUICK RUN")
    watcher.data("8 training images")
    watcher.training(16)
    phase = Phase(name="whole", step=lambda batch: {}, optimisers=dict, batch_size=8, images=16)
    watcher.phase(phase, 1, 1, 2, 0, 0)
    watcher.step(8, 0.1)
    line = {"phase": "whole", "resolution": None, "images": 8, "step": 1, "seconds": 0.1}
    watcher.metrics({**line, "metrics": {"loss": 0.5}, "images_per_second": 80.0})
    watcher.warning("a loss looks wrong")
    watcher.done()
    try:
        return dict(json.loads(json.dumps(dict(new)))) if new is not None else dict(kept)
    except (TypeError, ValueError) as error:
        fail(f"begun returned {new!r}, expected a mapping that JSON can hold: {error}")


def end(watcher: Watcher, directory: Path) -> None:
    """Tell a watcher that a run is scored and finished."""
    advance = watcher.track("scoring test images", 4)
    advance(4)
    watcher.done()
    watcher.finished(directory, json.loads(json.dumps(RESULTS)))


def whole_run(make: Callable[[], Watcher], directory: Path) -> None:
    """Tell a new watcher of a run from beginning to end."""
    watcher = make()
    begin(watcher, directory, {})
    end(watcher, directory)


@promise("watcher", since="0.1")
def check_watcher_is_one(subject: WatcherSubject) -> None:
    """Check that what the factory makes is an `anokit.Watcher`."""
    with subject.somewhere() as (make, _):
        made: object = make()
        expect(isinstance(made, Watcher), f"got a {type(made).__name__}, expected anokit.Watcher")


@promise("watcher", since="0.1")
def check_watcher_takes_whole_run(subject: WatcherSubject) -> None:
    """Check that being told of a run, with scores that have no metrics too, raises nothing."""
    with subject.somewhere() as (make, directory):
        whole_run(make, directory)


@promise("watcher", since="0.1")
def check_watcher_takes_resumed_run(subject: WatcherSubject) -> None:
    """Check that a run may stop and be resumed, with what was to be kept or without it."""
    with subject.somewhere() as (make, directory):
        for interrupted in (True, False):
            watcher = make()
            kept = begin(watcher, directory, {})
            watcher.stopped("interrupted: checkpoint saved", interrupted=interrupted)
            again = make()
            begin(again, directory, kept)
            end(again, directory)


@promise("watcher", since="0.1")
def check_watcher_prints_nothing(subject: WatcherSubject) -> None:
    """Check that nothing is printed: the terminal is the display's."""
    with subject.somewhere() as (make, directory), contextlib.ExitStack() as stack:
        said = io.StringIO()
        stack.enter_context(contextlib.redirect_stdout(said))
        stack.enter_context(contextlib.redirect_stderr(said))
        whole_run(make, directory)
    expect(not said.getvalue().strip(), f"printed: {said.getvalue().strip()[:200]}")


@promise("watcher", since="0.1")
def check_watcher_leaves_directory(subject: WatcherSubject) -> None:
    """Check that the run directory stays as it is; what is to be kept, `begun` returns."""
    with subject.somewhere() as (make, directory):
        before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
        whole_run(make, directory)
        after = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
        changed = sorted({path.name for path, _ in set(before.items()) ^ set(after.items())})
        expect(not changed, f"changed in the run directory: {', '.join(changed)}")


@promise("watcher", since="0.1")
def check_watcher_leaves_randomness(subject: WatcherSubject) -> None:
    """Check that the state of the process stays: random generators, threads, settings, folder."""
    with subject.somewhere() as (make, directory):
        make()  # what it imports may draw at random
        untouched(subject.entry, {"being told of a run": lambda: whole_run(make, directory)})


@promise("watcher", since="0.1")
def check_watcher_no_network(subject: WatcherSubject) -> None:
    """Check that building a watcher asks nothing of the network: that is for `begun` and later."""
    with subject.somewhere() as (make, _):
        asks_nothing(make)
