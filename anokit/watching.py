"""Who watches a run: nobody, unless a display takes part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anokit.types import Phase

Advance = Callable[[float], None]
"""Takes images that were just done; parts of one where a single trip is long."""


class Watcher:
    """Watches a run and does nothing. Who watches overrides the methods that it cares for.

    A display is told at once, in the thread that runs. The watcher of a plugin (``--watch``) is
    told in a thread of its own, in the same order and a little later; steps that it has not been
    told of yet are told together. Once it raises it is told nothing more, and the run goes on.

    Examples
    --------
    >>> from anokit import Watcher
    >>> class Counter(Watcher):
    ...     images = 0
    ...
    ...     def step(self, images, seconds):
    ...         self.images += images
    >>> counter = Counter()
    >>> counter.step(32, 0.1)
    >>> counter.images
    32
    """

    def begun(
        self, directory: Path, recipe: Mapping[str, Any], kept: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Note that a run begins, or goes on, in a directory, which is not the watcher's to change.

        Parameters
        ----------
        directory
            The run directory; what is known before training lies in it.
        recipe
            The resolved recipe with all defaults filled, and whether it is ``quick``.
        kept
            What `begun` returned when the run was begun; empty if it was not watched then.

        Returns
        -------
        Mapping or None
            What JSON can hold, to be ``kept`` for when the run is resumed; None leaves it as it is.
        """
        return None

    def finished(self, directory: Path, results: Mapping[str, Any]) -> None:
        """Note that a run is finished: ``results`` is what results.json holds, report.html is made.

        A run that was begun is told to be finished or to be `stopped`, unless its process is
        killed.
        """

    def stopped(self, why: str, *, interrupted: bool) -> None:
        """Note that a run ends before it is finished; it may be resumed.

        ``interrupted``: by Ctrl-C or a signal; otherwise it failed.
        """

    def notice(self, text: str) -> None:
        """Take a sentence on what is going on."""

    def warning(self, text: str) -> None:
        """Take a sentence that should worry the user."""

    def banner(self, text: str) -> None:
        """Take a sentence that nobody may overlook."""

    def data(self, text: str) -> None:
        """Take in words what the run reads."""

    def training(self, total: int) -> None:
        """Note that training on ``total`` images begins."""

    def phase(self, phase: Phase, number: int, of: int, steps: int, done: int, shown: int) -> None:
        """Note a phase: ``done`` of its steps are done, ``shown`` images were shown in all."""

    def step(self, images: int, seconds: float) -> None:
        """Note one step of ``images`` images."""

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Take a line of metrics.jsonl."""

    def track(self, what: str, total: int) -> Advance:
        """Note that work on ``total`` images begins; return what takes how many more are done."""
        return _count_nothing

    def done(self) -> None:
        """Note that training, or the work that is tracked, is over; also after a failure."""


NOBODY = Watcher()
"""Who watches where nobody does."""


def _count_nothing(count: float) -> None:
    """Take how many images were done."""


def duration(seconds: float) -> str:
    """Return a time in words, such as ``4.1 days`` or ``3 min``."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds:.0f} s"
