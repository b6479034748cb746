"""What is shown of a sweep that runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from anokit.cli.console import Console
from anokit.runs.sweep import SweepWatcher
from anokit.runs.sweep_folder import CellState, Overview
from anokit.watching import duration

PLAIN_SECONDS = 60.0
"""Seconds between two plain lines on how far all is."""


class Display(SweepWatcher):
    """Shows how far a sweep is."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console.rich, transient=True) if console.live else None
        self.printed_at = time.monotonic()
        if self.live:
            self.live.start()

    def changed(self, state: CellState, overview: Overview) -> None:
        """Say that a cell began, finished or failed; on a terminal only what is over."""
        name = escape(state.cell.name)
        if state.status == "running":
            if not self.live:
                self.console.say(f"begun     {state.cell.name}")
            return
        took = f" in {duration(state.seconds)}" if state.seconds else ""
        why = f": {state.reason}" if state.reason else ""
        colour = {"finished": "green", "failed": "red"}.get(state.status, "yellow")
        self.console.rich.print(
            f"[{colour}]{state.status:<9}[/{colour}] {name}{took}{escape(why)}"
            + ("" if self.live else f"  [dim]{escape(summary(overview))}[/dim]"),
            soft_wrap=True,
        )

    def look(self, overview: Overview) -> None:
        """Draw the live table, or print a line now and then."""
        if self.live:
            self.live.update(Group(running_table(overview), Text(summary(overview), style="dim")))
        elif time.monotonic() - self.printed_at >= PLAIN_SECONDS:
            self.printed_at = time.monotonic()
            shares = [
                f"{state.cell.name} {100 * state.progress:.0f} %"
                for state in overview.running
                if state.progress is not None
            ]
            self.console.say(f"  {summary(overview)}{': ' * bool(shares)}{', '.join(shares)}")

    def close(self) -> None:
        """Take the live table away."""
        if self.live:
            self.live.stop()


def summary(overview: Overview) -> str:
    """Return how many cells are how far, and about how long the rest takes."""
    parts = [
        f"{count} {status}"
        for status in ("finished", "running", "failed", "interrupted", "waiting")
        if (count := overview.count(status))
    ]
    left = overview.seconds_left
    if left and overview.count("finished") + overview.count("failed") < len(overview.states):
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def running_table(overview: Overview) -> Table:
    """Return the cells that are being worked on, and how far each is trained."""
    table = Table.grid(padding=(0, 2))
    for state in overview.running:
        share = state.progress
        spent = time.monotonic() - state.began if state.began else 0.0
        table.add_row(
            Text(state.cell.name),
            ProgressBar(total=1.0, completed=share or 0.0, width=24),
            "" if share is None else f"{100 * share:3.0f} %",
            Text(duration(spent), style="dim"),
        )
    return table
