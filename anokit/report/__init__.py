"""The report of a run: one page that opens offline, its figures, and a table for the terminal."""
