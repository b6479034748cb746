"""The page of a sweep: all figures in one table, curves over contamination, every run linked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anokit.report import style
from anokit.report.colours import ACCENTS, DASHES, MARKERS, MUTED, PRINTED_LINES
from anokit.report.findings import Banner
from anokit.report.html import drawn_in, render
from anokit.report.section import Plot, Section
from anokit.report.style import panels
from anokit.report.tables import Cell, Line, Table
from anokit.results.result_table import METRICS, ResultTable
from anokit.results.result_table import Cell as Figures
from anokit.results.result_table import Line as System
from anokit.store.files import write_text

__all__ = ["RunOfSweep", "contamination_curve", "write_sweep_page"]

FOOTER = "Links lead to the runs beside this page; everything else is in it."


@dataclass(frozen=True)
class RunOfSweep:
    """A cell of a sweep as its page lists it."""

    name: str
    status: str
    reason: str = ""
    report: str = ""
    """address of its report, relative to the page; empty where there is none"""
    figure: str = ""
    """AUROC of its primary score, as text"""
    value: float | None = None
    """the same as a number"""


def write_sweep_page(
    title: str,
    table: ResultTable | None,
    laid_out: ResultTable | None,
    runs: Sequence[RunOfSweep],
    path: Path,
) -> None:
    """Write the page, which opens offline.

    Parameters
    ----------
    table
        Every score of every system; None where nothing was measured.
    laid_out
        The same as the sweep's file lays it out; None where it does not.
    runs
        All cells, finished or not.
    """
    done = sum(run.status == "finished" for run in runs)
    facts = {"Runs": f"{done} of {len(runs)} finished"}
    if table:
        facts["Systems"] = str(len({line.system for line in table.lines}))
        facts["Contamination"] = ", ".join(f"{100 * gamma:g} %" for gamma in _gammas(table))
    banners = [Banner("All runs", text) for text in _shared(table)]
    with style.drawing():
        made = _sections(table, laid_out, runs)
        drawn = drawn_in(made)
    write_text(path, render(title, facts, banners, made, drawn, FOOTER))


def _sections(
    table: ResultTable | None, laid_out: ResultTable | None, runs: Sequence[RunOfSweep]
) -> list[Section]:
    made = []
    if laid_out:
        made.append(Section("Table", tables=[_laid_out(laid_out)], notes=_notes(laid_out)))
    if table and len(_gammas(table)) > 1:
        caption = (
            "The first score of each recipe over the share of anomalies in the training set; bands "
            "are 95 % intervals over test images and seeds. The axis is linear up to 1 % and "
            "logarithmic above."
        )
        plot = Plot("contamination", contamination_curve(table), caption)
        made.append(Section("AUROC over contamination", plots=[plot]))
    if table:
        made.append(Section("All figures", tables=[_all(table)], notes=_notes(table)))
        caption = (
            "Every score of each recipe: AUROC with its 95 % interval, baselines in grey, the line "
            "at chance."
        )
        plot = Plot("multiples", small_multiples(table), caption)
        made.append(Section("Recipe by recipe", plots=[plot]))
    missing = [run for run in runs if run.status != "finished"]
    warnings = [f"{len(missing)} of {len(runs)} runs are not finished."] if missing else []
    made.append(Section("Runs", warnings=warnings, tables=[_runs(runs)]))
    return made


def _shared(table: ResultTable | None) -> list[str]:
    """Return the remarks that every line of a table has."""
    if table is None:
        return []
    texts = [text[0].upper() + text[1:] for text in table.remarks]
    every = [all(place in line.remarks for line in table.lines) for place in range(len(texts))]
    return [f"{text}." for text, shared in zip(texts, every, strict=True) if shared]


def _remarks(table: ResultTable, line: System) -> str:
    """Return the remarks that not every line has."""
    own = [n for n in line.remarks if not all(n in other.remarks for other in table.lines)]
    return "; ".join(table.remarks[place] for place in own)


def _laid_out(table: ResultTable) -> Table:
    lines = [
        Line(
            [
                Cell(line.system, _remarks(table, line)),
                *(_figure(line.cells.get(name)) for name in table.columns),
            ],
            "baseline" if line.baseline else "",
        )
        for line in table.lines
    ]
    return Table(["", *table.columns], lines, caption=_what(table))


def _all(table: ResultTable) -> Table:
    published = any(cell.published is not None for _, cell in _cells(table))
    head = ["System", "Score", "γ", METRICS[table.metric], "Interval", "Seeds"]
    lines = []
    for line, cell in _cells(table):
        inside = {True: "inside", False: "outside", None: ""}[cell.holds_published]
        entries = [
            Cell(line.system, _remarks(table, line)),
            Cell(cell.score, "baseline" if line.baseline else ""),
            Cell(f"{100 * cell.contamination:g} %", key=cell.contamination),
            Cell(f"{cell.mean:.3f}", _spread(cell), key=cell.mean),
            Cell(_interval(cell)),
            Cell(str(len(cell.seeds)), key=len(cell.seeds)),
        ]
        if published:
            shown = "" if cell.published is None else f"{cell.published:g}"
            entries.append(Cell(shown, inside, key=cell.published))
        lines.append(Line(entries))
    head += ["Published"] if published else []
    return Table(head, lines, caption=_what(table), sortable=True, numeric=False)


def _runs(runs: Sequence[RunOfSweep]) -> Table:
    lines = [
        Line(
            [
                Cell(run.name, address=run.report),
                Cell(run.status, run.reason),
                Cell(run.figure, key=run.value),
            ]
        )
        for run in runs
    ]
    head = ["Run", "State", "AUROC of its first score"]
    return Table(head, lines, numeric=False, sortable=True)


def _figure(cell: Figures | None) -> Cell:
    if cell is None:
        return Cell("–")
    small = " ".join(text for text in (_spread(cell), _interval(cell)) if text)
    return Cell(f"{cell.mean:.3f}", small)


def _spread(cell: Figures) -> str:
    return "" if cell.deviation is None else f"± {cell.deviation:.3f}"


def _interval(cell: Figures) -> str:
    return "" if cell.low is None or cell.high is None else f"[{cell.low:.3f}, {cell.high:.3f}]"


def _what(table: ResultTable) -> str:
    return (
        f"{METRICS[table.metric]}: mean over seeds and their standard deviation; in brackets the "
        "95 % bootstrap interval over test images, and over seeds where there are several."
    )


def _notes(table: ResultTable) -> list[str]:
    published = [f"Published: {'; '.join(table.sources)}."] if table.sources else []
    return [*published, *table.chosen]


def _cells(table: ResultTable) -> list[tuple[System, Figures]]:
    return [
        (line, line.cells[name])
        for line in table.lines
        for name in table.columns
        if name in line.cells
    ]


def _gammas(table: ResultTable) -> list[float]:
    return sorted({cell.contamination for _, cell in _cells(table)})


def contamination_curve(table: ResultTable, *, printed: bool = False) -> Figure:
    """Draw each recipe's first score over contamination; call it inside `style.drawing`.

    ``printed``: bands get edges dashed as their lines, and colours differ in grey, too.
    """
    colours = PRINTED_LINES if printed else ACCENTS
    figure, (axes,) = panels(1, 1, 3.6)
    lines = [line for line in table.lines if line.primary]
    for place, line in enumerate(lines):
        colour = colours[place % len(colours)]
        _curve(axes, line, place, colour, edged=printed)
    axes.axhline(0.5, color=MUTED, linewidth=0.6)
    _gamma_axis(axes, _gammas(table))
    axes.set(xlabel="anomalies in the training set, γ", ylabel=METRICS[table.metric])
    # Long enough for a dash to be seen in print.
    figure.legend(loc="outside lower center", ncols=2, handlelength=3.5 if printed else None)
    return figure


def _curve(axes: Axes, line: System, place: int, colour: str, *, edged: bool) -> None:
    cells = sorted(line.cells.values(), key=lambda cell: cell.contamination)
    gammas = [100 * cell.contamination for cell in cells]
    axes.plot(
        gammas,
        [cell.mean for cell in cells],
        color=colour,
        marker=MARKERS[place % len(MARKERS)],
        markersize=4,
        linestyle=DASHES[place % len(DASHES)],
        label=f"{line.system}: {line.score}",
    )
    known = [(g, c.low, c.high) for g, c in zip(gammas, cells, strict=True) if c.low is not None]
    if known:
        across, lows, highs = zip(*known, strict=True)
        axes.fill_between(across, lows, highs, color=colour, alpha=0.15, linewidth=0)
        for ends in (lows, highs) if edged else ():
            dash = DASHES[place % len(DASHES)]
            axes.plot(across, ends, color=colour, linewidth=0.5, linestyle=dash)


def _gamma_axis(axes: Axes, gammas: Sequence[float]) -> None:
    shares = [100 * gamma for gamma in gammas]
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(shares, [f"{share:g} %" for share in shares])
    axes.minorticks_off()
    axes.set_xlim(-0.1, max(shares) * 1.1)


def small_multiples(table: ResultTable) -> Figure:
    """Draw every score of each system at its lowest contamination, a panel for each system."""
    systems = list(dict.fromkeys(line.system for line in table.lines))
    of = {name: [line for line in table.lines if line.system == name] for name in systems}
    most = max(len(lines) for lines in of.values())
    figure, axes = panels(len(systems), 2, 0.7 + 0.17 * most)
    for panel, (name, lines) in zip(axes, of.items(), strict=True):
        for place, line in enumerate(lines):
            cell = min(line.cells.values(), key=lambda one: one.contamination)
            colour = MUTED if line.baseline else ACCENTS[0]
            if cell.low is not None and cell.high is not None:
                panel.plot([cell.low, cell.high], [-place, -place], color=colour, linewidth=1.2)
            panel.plot([cell.mean], [-place], "o", color=colour, markersize=3.5)
        panel.axvline(0.5, color=MUTED, linewidth=0.6)
        panel.set_yticks([-place for place in range(len(lines))], [line.score for line in lines])
        panel.set(title=name, xlim=(-0.02, 1.02), ylim=(0.6 - most, 0.6))
    return figure
