"""A page on scores that were tried over a finished run."""

from pathlib import Path

from anokit.report import findings, style
from anokit.report.html import drawn_in, facts_of, render
from anokit.report.reading import Run
from anokit.report.sections import sections
from anokit.store.files import write_text

__all__ = ["is_page", "write_tried"]

FOOTER = "This page needs no other file. Nothing was written into the run."


def write_tried(run: Run, path: Path) -> None:
    """Write a page that opens offline: figures, histograms, images and maps of a score.

    ``run`` is what the run would be with the score, which is its primary one.
    """
    with style.drawing():
        made = sections(run, tried=True)
        drawn = drawn_in(made)
    title = f"{run.results.primary}, tried over: {run.results.title}"
    write_text(path, render(title, facts_of(run), findings.banners(run), made, drawn, FOOTER))


def is_page(path: Path) -> bool:
    """Return whether a file is a page that `write_tried` wrote."""
    try:
        return FOOTER.encode() in path.read_bytes()
    except OSError:
        return False
