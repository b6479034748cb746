"""A page on a comparison of runs."""

from pathlib import Path

from matplotlib.figure import Figure

from anokit.report import style
from anokit.report.colours import INK, MUTED
from anokit.report.html import drawn_in, render
from anokit.report.section import Plot, Section
from anokit.report.style import panels
from anokit.report.tables import Cell, Line, Table
from anokit.results.comparison import Comparison
from anokit.store.files import write_text

__all__ = ["comparison", "write_comparison"]

TITLE = "Comparison of runs"
FOOTER = "This page needs no other file."


def write_comparison(found: Comparison, path: Path) -> None:
    """Write a page that opens offline: the systems, their differences, and a plot of these."""
    facts = {
        "Protocol": found.protocol,
        "Test set": f"{found.normal:,} normal, {found.anomalous:,} anomalous images",
        "Systems": f"{len(found.systems):,}",
    }
    with style.drawing():
        made = [comparison(found)]
        drawn = drawn_in(made)
    known = {name: text for name, text in facts.items() if text}
    write_text(path, render(TITLE, known, [], made, drawn, FOOTER))


def comparison(found: Comparison) -> Section:
    """Return the section; call it inside `anokit.report.style.drawing`."""
    return Section(
        "Differences",
        text=[found.note],
        tables=[_systems(found), _pairs(found)],
        plots=[
            Plot(
                "differences",
                _forest(found),
                "Difference of AUROC with its 95 % interval. An interval that crosses the line of "
                "no difference resolves nothing.",
            )
        ],
    )


def _systems(found: Comparison) -> Table:
    lines = [
        Line(
            [
                Cell(letter),
                Cell(system.name, "; ".join(system.remarks)),
                Cell(", ".join(str(seed) for seed in system.seeds)),
                Cell(system.figure),
            ]
        )
        for letter, system in zip(found.letters.values(), found.systems, strict=True)
    ]
    return Table(["", "System", "Seeds", "AUROC"], lines, numeric=False)


def _pairs(found: Comparison) -> Table:
    known = found.letters
    lines = [
        Line(
            [
                Cell(f"{known[pair.second]} − {known[pair.first]}"),
                Cell(pair.figure),
                Cell(f"{pair.p:.2g}"),
                Cell(f"{pair.p_holm:.2g}"),
                Cell(pair.verdict),
            ]
        )
        for pair in found.pairs
    ]
    return Table(["", "AUROC", "p", "p, Holm", "In words"], lines, numeric=False)


def _forest(found: Comparison) -> Figure:
    """Draw every difference as a point and its interval as a line, the first on top."""
    known, count = found.letters, len(found.pairs)
    figure, (axes,) = panels(1, 1, 0.6 + 0.28 * count)
    for place, pair in enumerate(found.pairs):
        gap = pair.auroc
        axes.plot([gap.low, gap.high], [-place, -place], color=INK, linewidth=1.4)
        axes.plot([gap.value], [-place], "o", color=INK, markersize=4)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    labels = [f"{known[pair.second]} − {known[pair.first]}" for pair in found.pairs]
    axes.set_yticks([-place for place in range(count)], labels)
    axes.set(xlabel="difference of AUROC", ylim=(-count + 0.4, 0.6))
    return figure
