"""A table of results as Markdown, LaTeX or CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from anokit.results.result_table import Cell, Line, ResultTable
from anokit.store.score_table import csv_text

MARKS = "abcdefghijklmnopqrstuvwxyz"

ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "γ": r"$\gamma$",
        "±": r"$\pm$",
        "–": "--",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def markdown(table: ResultTable) -> str:
    """Return a table in Markdown; marks and notes stand under it."""
    head, rows = _texts(table)
    lines = [f"| {' | '.join(head)} |", "|---" * _words(table) + "|" + "---:|" * _figures(table)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([*lines, "", *(f"{note}  " for note in _notes(table))]).rstrip() + "\n"


def latex(table: ResultTable) -> str:
    """Return a table in LaTeX, for the package booktabs; notes are comments."""
    head, rows = _texts(table)
    baseline = next((n for n, line in enumerate(table.lines) if line.baseline), None)
    aligned = "l" * _words(table) + "r" * _figures(table)
    lines = [rf"\begin{{tabular}}{{{aligned}}}", r"\toprule", _row(head)]
    lines.append(r"\midrule")
    for number, row in enumerate(rows):
        if number == baseline and number:
            lines.append(r"\midrule")
        lines.append(_row(row))
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*(f"% {note}" for note in _notes(table)), *lines]) + "\n"


def csv(table: ResultTable) -> str:
    """Return a table with a line for each cell and all that is known of it."""
    head = ["system", "score", "baseline", "contamination", "metric", "mean", "deviation"]
    head += ["low", "high", "seeds", "published", "holds_published", "remarks"]
    rows = [
        [
            *(line.system, cell.score, str(line.baseline).lower(), f"{cell.contamination:g}"),
            table.metric,
            *(_number(value) for value in (cell.mean, cell.deviation, cell.low, cell.high)),
            " ".join(map(str, cell.seeds)),
            _number(cell.published),
            "" if cell.holds_published is None else str(cell.holds_published).lower(),
            "; ".join(table.remarks[place] for place in line.remarks),
        ]
        for line in table.lines
        for cell in (line.cells[name] for name in table.columns if name in line.cells)
    ]
    return csv_text(head, rows)


FORMATS: Mapping[str, Callable[[ResultTable], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": csv,
}


def _words(table: ResultTable) -> int:
    """Return how many columns of words stand before the figures."""
    return 2 if any(line.score for line in table.lines) else 1


def _figures(table: ResultTable) -> int:
    """Return how many columns of figures there are."""
    return len(table.columns) * (2 if _prints_published(table) else 1)


def _prints_published(table: ResultTable) -> bool:
    return any(cell.published is not None for line in table.lines for cell in _cells(line))


def _texts(table: ResultTable) -> tuple[list[str], list[list[str]]]:
    """Return header and cells as text."""
    published, words = _prints_published(table), _words(table)
    head = ["system", "score"][:words]
    for name in table.columns:
        head += [name, "published"] if published else [name]
    rows = []
    for line in table.lines:
        marks = "".join(f" ({MARKS[place % len(MARKS)]})" for place in line.remarks)
        row = [line.system + marks, line.score][:words]
        for name in table.columns:
            cell = line.cells.get(name)
            row.append("–" if cell is None else _figure(cell))
            row += [_published(cell)] if published else []
        rows.append(row)
    return head, rows


def _cells(line: Line) -> Sequence[Cell]:
    return list(line.cells.values())


def _figure(cell: Cell) -> str:
    text = f"{cell.mean:.3f}"
    if cell.deviation is not None:
        text += f" ± {cell.deviation:.3f}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:.3f}, {cell.high:.3f}]"
    return f"{text} ({len(cell.seeds)})" if len(cell.seeds) > 1 else text


def _published(cell: Cell | None) -> str:
    if cell is None or cell.published is None:
        return "–"
    inside = {True: " (inside)", False: " (outside)", None: ""}[cell.holds_published]
    return f"{cell.published:g}{inside}"


def _notes(table: ResultTable) -> list[str]:
    notes = [f"({MARKS[n % len(MARKS)]}) {text}" for n, text in enumerate(table.remarks)]
    cells = [cell for line in table.lines for cell in _cells(line)]
    several = any(len(cell.seeds) > 1 for cell in cells)
    if any(cell.low is not None for cell in cells):
        words = "In brackets the 95 % bootstrap interval over test images"
        if several:
            words += (
                ", and over seeds where a figure is the mean of several runs: then ± their "
                "standard deviation, and their number"
            )
        else:
            words += " of one training run: the spread between seeds is not in it"
        notes.append(f"{words}.")
    elif several:
        notes.append("Means over seeds ± their standard deviation, and in brackets their number.")
    notes += table.chosen
    if table.sources:
        notes.append(f"Published: {'; '.join(table.sources)}. Inside or outside of the interval.")
    return notes


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cell.translate(ESCAPED) for cell in cells) + r" \\"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
