"""The report of a run: one page that opens offline, its figures, and a table for the terminal."""

from anokit.report.html import write_report

__all__ = ["write_report"]
