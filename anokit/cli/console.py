"""What a run shows: live progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.syntax import Syntax

from anokit.data.names import shown
from anokit.results.rows import QUICK, Results
from anokit.watching import Advance, Watcher, duration

if TYPE_CHECKING:
    from anokit.recipe.parts import Recipe
    from anokit.store.run_directory import RunDirectory
    from anokit.types import Phase

SUSPECTS = 5
"""Training images that are named where a run has no metrics."""

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines, where there is no terminal to draw on."""


class _Output(RichConsole):
    """Standard output, which goes on in silence where nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """Print nothing more: hours of work are not ended because `head` has seen enough."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


@contextlib.contextmanager
def for_people(as_json: bool) -> Iterator[Console]:
    """Yield a console; with ``--json``, stdout is a program's and all for people goes to stderr.

    What code of plugins prints in the body goes there too.
    """
    if not as_json:
        yield Console()
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield Console(RichConsole(stderr=True, highlight=False))


class Console(Watcher):
    """Watches a run and shows it."""

    def __init__(self, rich: RichConsole | None = None) -> None:
        self.rich = rich or _Output(highlight=False)
        if not self.rich.is_terminal:
            self.rich.width = max(self.rich.width, 120)  # a log file has no edge
        self.live = self.rich.is_terminal and not self.rich.is_dumb_terminal
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._seen = 0
        self._phase = ""
        self._losses = ""
        self._recent: deque[tuple[int, float]] = deque(maxlen=50)
        self._printed_at = 0.0

    # What is said once

    def recipe(self, recipe: Recipe) -> None:
        """Show the resolved recipe."""
        from anokit.recipe.toml import to_toml

        self.rich.print(
            f"[bold]{escape(recipe.title)}[/bold]  [dim]{escape(str(recipe.path))}[/dim]"
        )
        text = to_toml(recipe.as_dict())
        if self.live:
            self.rich.print(Syntax(text, "toml", theme="ansi_dark", background_color="default"))
        else:
            self.rich.print(escape(text), soft_wrap=True)
        for notice in recipe.notices:
            self.notice(notice)

    def data(self, text: str) -> None:
        """Say what the run reads."""
        self.say(f"Data: {text}")

    def banner(self, text: str) -> None:
        """Show something that nobody may overlook."""
        self.rich.print(Panel(escape(text), border_style="yellow", expand=False, width=100))

    def notice(self, text: str) -> None:
        """Show a sentence."""
        self._say(f"[dim]·[/dim] {escape(text)}")

    def warning(self, text: str) -> None:
        """Show a sentence that should worry the user."""
        self._say(f"[yellow]warning:[/yellow] {escape(text)}")

    def results(self, results: Results, directory: RunDirectory) -> None:
        """Show the results table and where everything lies; without labels, suspects first."""
        from anokit.cli.ranking import ranking_table
        from anokit.cli.tables import results_table

        labelled = any(row.metrics for row in results.rows)
        ranking = directory.read_ranking() if directory.ranking.exists() else None
        self.rich.print()
        if results.data == "simulated":
            self.banner(results.notices[0])
        if results.quick:
            self.banner(QUICK)
        if ranking and not labelled:
            table = ranking_table(ranking.by(), SUSPECTS)
            table.title = "Training images, most anomalous first"
            self.rich.print(table)
            self.rich.print()
        self.rich.print(results_table(results, ranking.flagged() if ranking else None))
        for text in results.told:
            self.warning(text)
        if labelled:
            self.say(f"Intervals: {results.interval}.", dim=True)
        self.say(f"Epoch: {results.selection.epoch}.", dim=True)
        self.say(f"Threshold: {results.selection.threshold}.", dim=True)
        for what, path in (
            ("All training images, all scores", directory.ranking),
            ("Painted, to look through", directory.overlays / "index.html"),
        ):
            if path.exists() and not labelled:
                self.say(f"{what}: {path}")
        self._say(f"Report: [bold]{escape(str(directory.report))}[/bold]")

    def unread(self, results: Results) -> None:
        """Show which files of the data set could not be read, each with its reason."""
        for name, reason in results.unread.items():
            self.warning(f"{shown(name)} is left out: {shown(reason)}")
        if count := len(results.unread):
            files = "file" if count == 1 else "files"
            self.say(f"{count:,} {files} could not be read; all else is done.")

    def say(self, text: str, *, dim: bool = False) -> None:
        """Show a line of plain text."""
        self._say(f"[dim]{escape(text)}[/dim]" if dim else escape(text))

    def _say(self, text: str) -> None:
        """Print one line of markup; only a terminal wraps it, a log file keeps it whole."""
        self.rich.print(text, soft_wrap=not self.live)

    # Training

    def training(self, total: int) -> None:
        """Begin to show training on ``total`` images in all."""
        self._total, self._seen = total, 0
        self._recent.clear()
        self._printed_at = time.monotonic()
        if self.live:
            self._progress = Progress(
                TextColumn("{task.fields[phase]}"),
                BarColumn(24),
                TextColumn("{task.percentage:3.0f} %"),
                TextColumn("[dim]{task.fields[speed]}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[losses]}"),
                console=self.rich,
                transient=True,
            )
            self._task = self._progress.add_task("", total=total, phase="", speed="", losses="")
            self._progress.start()

    def phase(self, phase: Phase, number: int, of: int, steps: int, done: int, shown: int) -> None:
        """Announce a phase: ``done`` of its steps are done, ``shown`` images were shown in all."""
        self._seen = shown
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=shown)
        size = f" at {phase.resolution} px" if phase.resolution else ""
        self._phase = f"phase {number}/{of} {phase.name}"
        self._say(
            f"{escape(self._phase)}{size}: {steps * phase.batch_size:,} images in batches of "
            f"{phase.batch_size}" + (f", {done:,} of {steps:,} steps done" if done else "")
        )

    def step(self, images: int, seconds: float) -> None:
        """Note one step."""
        self._seen += images
        self._recent.append((images, seconds))
        if self._progress and self._task is not None:
            self._progress.update(
                self._task,
                advance=images,
                phase=escape(self._phase),
                speed=self._speed(),
                losses=escape(self._losses),
            )
        elif time.monotonic() - self._printed_at >= PLAIN_SECONDS:
            self._printed_at = time.monotonic()
            share = 100 * self._seen / max(self._total, 1)
            self._say(f"  {share:3.0f} %  {self._speed()}  {escape(self._losses)}")

    def metrics(self, line: Mapping[str, Any]) -> None:
        """Keep the newest losses for display."""
        values = dict(line["metrics"])
        fade = [("fade", values.pop("fade"))] if "fade" in values else []
        shown = [*fade, *list(values.items())[:6]]
        self._losses = " ".join(f"{name} {value:.3g}" for name, value in shown)

    def _speed(self) -> str:
        seconds = sum(s for _, s in self._recent)
        if seconds <= 0:
            return ""
        speed = sum(n for n, _ in self._recent) / seconds
        # Later phases are slower, so this is the time that the rest takes at the present speed.
        left = (self._total - self._seen) / speed
        return f"{speed:,.0f} images/s, {duration(left)} left at this speed"

    # Other work with a known length

    def track(self, what: str, total: int) -> Advance:
        """Show ``total`` images of work; call the result with how many more are done."""
        self.done()
        if not self.live:
            self.notice(f"{what}: {total:,} images")
            return self._track_plainly(total)
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("[dim]{task.fields[speed]}"),
            TimeElapsedColumn(),
            console=self.rich,
            transient=True,
        )
        task = progress.add_task(escape(what), total=total, speed="")
        progress.start()
        self._progress = progress

        def advance(count: float) -> None:
            progress.advance(task, count)
            if speed := progress.tasks[0].speed:
                progress.update(task, speed=f"{speed:,.0f} images/s")

        return advance

    def _track_plainly(self, total: int) -> Advance:
        """Return what prints a line now and then, and none where the work is done soon."""
        done, printed_at = 0.0, time.monotonic()
        began = printed_at

        def advance(count: float) -> None:
            nonlocal done, printed_at
            done += count
            if time.monotonic() - printed_at >= PLAIN_SECONDS:
                printed_at = time.monotonic()
                speed = done / (printed_at - began)
                self._say(f"  {100 * done / max(total, 1):3.0f} %  {speed:,.0f} images/s")

        return advance

    def done(self) -> None:
        """Take the progress display away."""
        if self._progress:
            self._progress.stop()
        self._progress, self._task = None, None
