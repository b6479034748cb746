"""Panels of a figure by system and contamination, and the axes that they are drawn on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anokit.report.gallery import shortened
from anokit.report.style import WIDTH

__all__ = ["NAMES", "Panel", "Place", "grid_of", "in_reading_order", "letter", "lowest"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ACROSS = 4
"""Most panels side by side."""

NARROWEST = 2.4
"""inches: the width of a panel where there are few"""

HEADING = 0.3
"""inches: room above a panel"""

NAMES = {0: "normal", 1: "anomalous", -1: "unlabelled"}
"""What groups of images are called, by label, in the order in which they are drawn."""


class Place(NamedTuple):
    """Where a panel stands: which system it shows, trained at which contamination."""

    system: str
    gamma: float

    def __str__(self) -> str:
        """Return it as captions name it."""
        return f"{self.system}, γ = {100 * self.gamma:g} %"


@dataclass(frozen=True)
class Panel:
    """What a run gives of test images."""

    place: Place
    values: Floats
    """``[N, …]``: embedded points, latents or losses, as the figure says"""
    labels: Ints
    """``[N]``: 0 normal, 1 anomalous, −1 unlabelled"""

    def groups(self) -> Iterator[tuple[int, Floats]]:
        """Yield label and values of each group of images that there is."""
        for label in NAMES:
            if (chosen := self.labels == label).any():
                yield label, self.values[chosen]


def letter(number: int) -> str:
    """Return the mark of a panel: ``(a)`` to ``(z)``, then ``(aa)``.

    >>> letter(0), letter(27)
    ('(a)', '(ab)')
    """
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return f"({text})"


def in_reading_order(panels: Sequence[Panel]) -> list[Panel]:
    """Return panels in the order of their letters, as every figure here expects them."""
    systems = _systems(panels)

    def where(panel: Panel) -> tuple[int, float, int]:
        number = systems.index(panel.place.system)
        return number // ACROSS, panel.place.gamma, number

    return sorted(panels, key=where)


def _systems(panels: Sequence[Panel]) -> list[str]:
    """Return the systems in the order of their columns: those of the lowest contamination first."""
    by_gamma = sorted(panels, key=lambda panel: panel.place.gamma)
    return list(dict.fromkeys(panel.place.system for panel in by_gamma))


def grid_of(panels: Sequence[Panel], ratio: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes for panels in reading order, ``ratio`` as high as they are wide.

    Systems stand side by side and contaminations under each other; more than `ACROSS` systems go
    on below, and a system alone has its contaminations side by side.
    """
    systems = _systems(panels)
    gammas = sorted({panel.place.gamma for panel in panels})
    across = min(ACROSS, len(systems) if len(systems) > 1 else len(gammas))
    spots = []
    for number, panel in enumerate(panels):
        block, column = divmod(systems.index(panel.place.system), ACROSS)
        row = block * len(gammas) + gammas.index(panel.place.gamma)
        spots.append((row, column) if len(systems) > 1 else divmod(number, across))
    rows = 1 + max(row for row, _ in spots)
    width = min(WIDTH, NARROWEST * across)
    figure = Figure(
        figsize=(width, rows * (ratio * width / across + HEADING)), layout="constrained"
    )
    axes = figure.subplots(rows, across, squeeze=False)
    for spot, spare in np.ndenumerate(axes):
        if spot not in spots:
            spare.remove()
    for number, (spot, panel) in enumerate(zip(spots, panels, strict=True)):
        heading = f"{letter(number)} {shortened(panel.place.system, round(11 * width / across))}"
        if len(gammas) > 1:
            heading += f"\nγ = {100 * panel.place.gamma:g} %"
        above = axes[spot]
        above.text(0, 1.03, heading, transform=above.transAxes, va="bottom", fontsize=7.5)
    return figure, [axes[spot] for spot in spots]


def lowest(axes: Axes, grid: Sequence[Axes]) -> bool:
    """Return whether no other panel stands below one."""
    own = axes.get_subplotspec()
    others = [other.get_subplotspec() for other in grid]
    return own is not None and not any(
        other is not None
        and other.colspan.start == own.colspan.start
        and other.rowspan.start > own.rowspan.start
        for other in others
    )
