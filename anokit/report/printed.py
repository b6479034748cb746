"""Figures for papers: panels by system and contamination, readable in grey, without a title.

After Berg, Ahlberg, Felsberg, figures 2 to 5. Groups of images differ in lightness and in marker or
outline, lines in lightness and dash, so that none is told by its hue alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from sklearn.metrics import roc_curve

from anokit.report.colours import INK, MUTED, PRINTED, PRINTED_LINES
from anokit.report.gallery import frame, place_image, sheet, shortened
from anokit.report.panel_grid import NAMES, Panel, Place, grid_of, letter, lowest
from anokit.results.metrics import Estimate

__all__ = [
    "LOSSES",
    "Match",
    "Queries",
    "closest_matches",
    "coefficient_histograms",
    "embeddings",
    "loss_curves",
    "loss_scatter",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]

MARKS = {0: ("o", 7.0), 1: ("^", 10.0), -1: ("s", 6.0)}
"""Marker and size of each group's points."""

WIDE = 8.0
"""Losses of which the largest is more times the smallest than this get a logarithmic axis."""

LOSSES = ("$d_I$", "$d_z$")
"""What the two columns of a panel of losses are, as TeX."""


def embeddings(panels: Sequence[Panel]) -> Figure:
    """Draw embedded latents; values of panels are ``[N, 2]``."""
    figure, grid = grid_of(panels, 0.85)
    for axes, panel in zip(grid, panels, strict=True):
        _points(axes, panel)
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.spines[:].set_visible(True)
    _legend(figure, grid[0], panels)
    return figure


def coefficient_histograms(panels: Sequence[Panel]) -> Figure:
    """Draw histograms of all components of all latents; values of panels are ``[N, Z]``.

    Each group's area is 1. The end bins hold what lies beyond the central 99.8 %.
    """
    figure, grid = grid_of(panels, 0.6)
    for axes, panel in zip(grid, panels, strict=True):
        low, high = (float(end) for end in np.quantile(panel.values, [0.001, 0.999]))
        if high <= low:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, 61)
        for label, values in panel.groups():
            density = np.histogram(np.clip(values, low, high), edges)[0] / values.size
            filled = label == 0
            axes.stairs(
                density,
                edges,
                fill=filled,
                color=PRINTED[label],
                linewidth=0 if filled else 1.2,
                label=NAMES[label],
            )
        axes.set(ylim=(0, None), yticks=[])
        axes.grid(visible=False)
        if lowest(axes, grid):
            axes.set_xlabel("value of a component")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def loss_scatter(panels: Sequence[Panel]) -> Figure:
    """Draw the two losses of each image against each other; values of panels are ``[N, 2]``."""
    figure, grid = grid_of(panels, 0.8)
    for axes, panel in zip(grid, panels, strict=True):
        _points(axes, panel)
        axes.set(xlabel=LOSSES[0], ylabel=LOSSES[1])
        for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            values = panel.values[:, "xy".index(name)]
            low, high = float(values.min()), float(values.max())
            axis.label.set_parse_math(True)
            if low > 0 and high > WIDE * low:
                axes.set(**{f"{name}scale": "log"})
                subs = (1.0, 2.0, 5.0) if high < WIDE**2 * low else (1.0,)
                axis.set_major_locator(LogLocator(subs=subs))
                axis.set_major_formatter(lambda value, _: f"{value:g}")
            else:
                axis.set_major_locator(MaxNLocator(4))
        axes.minorticks_off()
    _legend(figure, grid[0], panels)
    return figure


def loss_curves(panels: Sequence[Panel], estimates: Sequence[Sequence[Estimate]]) -> Figure:
    """Draw ROC curves of the two losses of images taken as scores; values are ``[N, 2]``.

    ``estimates`` are the AUROC of both, for each panel. Images without a label are left out.
    """
    figure, grid = grid_of(panels, 0.95)
    for axes, panel, found in zip(grid, panels, estimates, strict=True):
        known = panel.labels >= 0
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.6)
        for column, (name, estimate) in enumerate(zip(LOSSES, found, strict=True)):
            fpr, tpr, _ = roc_curve(panel.labels[known], panel.values[known, column])
            axes.plot(
                fpr,
                tpr,
                color=PRINTED_LINES[column],
                linestyle=("-", "--")[column],
                label=f"{name} {estimate}",
            )
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        legend = axes.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.32), fontsize=7)
        for text in legend.get_texts():
            text.set_parse_math(True)
    return figure


class Match(NamedTuple):
    """What one system makes of some queries."""

    place: Place
    images: Images
    """``[K, C, H, W]``"""


@dataclass(frozen=True)
class Queries:
    """Some test images, and what several systems make of them."""

    images: Images
    """``[K, C, H, W]``"""
    labels: Ints
    """``[K]``"""
    words: Sequence[str]
    """K: what stands under each"""
    matches: Sequence[Match]


def closest_matches(sets: Sequence[Queries]) -> Figure:
    """Draw queries in a row, and under it a row of closest matches for each system.

    Anomalous queries are framed.
    """
    columns = max(len(one.images) for one in sets)
    lines = sum(1 + len(one.matches) for one in sets)
    room = 0.3
    figure, axes = sheet(lines, columns, left=1.9, below=room * len(sets))
    several = len({match.place.gamma for one in sets for match in one.matches}) > 1
    top = 0.0
    number = 0
    for one in sets:
        _row(axes, "query", one.images, top)
        for column, (label, word) in enumerate(zip(one.labels, one.words, strict=True)):
            if label == 1:
                frame(axes, top, column, INK)
            y = top + 1 + len(one.matches) + 0.04
            text = shortened(word, 12)
            axes.text(column + 0.5, y, text, ha="center", va="top", fontsize=6.5)
        for match in one.matches:
            top += 1
            text = f"{letter(number)} {shortened(match.place.system, 26)}"
            if several:
                text += f"\nγ = {100 * match.place.gamma:g} %"
            _row(axes, text, match.images, top)
            number += 1
        top += 1 + room
    return figure


def _row(axes: Axes, text: str, images: Images, top: float) -> None:
    axes.text(-0.08, top + 0.5, text, ha="right", va="center", fontsize=7)
    for column, image in enumerate(images):
        place_image(axes, image, top, column)


def _points(axes: Axes, panel: Panel) -> None:
    """Draw points by group: normal ones filled and light, anomalous ones outlines on top."""
    for label, values in panel.groups():
        marker, size = MARKS[label]
        colour = PRINTED[label]
        filled = label != 1
        axes.scatter(
            values[:, 0],
            values[:, 1],
            s=size,
            marker=marker,
            linewidths=0 if filled else 0.6,
            facecolors=colour if filled else "none",
            edgecolors="none" if filled else colour,
        )


def _legend(figure: Figure, axes: Axes, panels: Sequence[Panel]) -> None:
    there = {label for panel in panels for label, _ in panel.groups()}
    handles = []
    for label in (label for label in NAMES if label in there):
        (handle,) = axes.plot(
            [],
            [],
            linestyle="none",
            marker=MARKS[label][0],
            markersize=4,
            color=PRINTED[label],
            markerfacecolor="none" if label == 1 else PRINTED[label],
            label=NAMES[label],
        )
        handles.append(handle)
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
