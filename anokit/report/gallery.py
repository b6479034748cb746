"""Pictures: closest matches with residual maps, samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from anokit.report.colours import ANOMALOUS
from anokit.report.reading import Run
from anokit.report.style import WIDTH
from anokit.store.records import GALLERY_MAP, TRAIN_MAP

__all__ = ["Group", "groups", "matches", "train_maps"]

Images = npt.NDArray[np.uint8]
Pictures = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

COLUMNS = 8
"""Pictures side by side."""

MARGIN = 0.03
"""Room around a picture, in pictures."""


@dataclass(frozen=True)
class Group:
    """Some test images that a reader should look at: rows of scores.csv, in order."""

    name: str
    title: str
    rows: Sequence[int]


def groups(labels: npt.NDArray[np.int64], scores: Floats, count: int = COLUMNS) -> list[Group]:
    """Return which of N test images to show: the extremes and the worst mistakes of a score."""
    order = np.argsort(-scores, kind="stable")
    normal, anomalous = order[labels[order] == 0], order[labels[order] == 1]
    found = [
        Group("most_anomalous", "Most anomalous", order[:count].tolist()),
        Group("least_anomalous", "Least anomalous", order[::-1][:count].tolist()),
        Group("false_alarms", "Normal, with the highest scores", normal[:count].tolist()),
        Group("misses", "Anomalous, with the lowest scores", anomalous[::-1][:count].tolist()),
    ]
    return [group for group in found if group.rows]


def matches(run: Run, group: Group) -> Figure | None:
    """Draw query, reconstruction and residual map of a group, or None if none was kept.

    There is a line of maps for each score that has some, the primary one's first. All maps of a
    line share one colour scale, from 0, or the smallest value in it where that is less (maps of
    standardised scores), to the largest.
    """
    primary = run.primary()
    index, images = run.arrays.get("gallery_index"), run.arrays.get("gallery_image")
    if primary is None or index is None or images is None:
        return None
    table, scores = primary
    place = {int(row): at for at, row in enumerate(index)}
    shown = [row for row in group.rows if row in place]
    if not shown:
        return None
    chosen = [place[row] for row in shown]
    strips: list[tuple[str, Pictures]] = [("query", images[chosen])]
    if (hats := run.arrays.get("gallery_image_hat")) is not None:
        strips.append(("reconstruction", hats[chosen]))
    maps = run.maps(GALLERY_MAP)
    plain = ("map" if hats is None else "residual map") if len(maps) == 1 else ""
    strips += [(plain or f"by {name}", found[chosen]) for name, found in maps.items()]
    figure, axes = strips_of(strips, below=0.32)
    for column, row in enumerate(shown):
        label = {0: "normal", 1: "anomalous"}.get(int(table.labels[row]), "")
        # Two texts, since a page's font would put the lines of one off its middle.
        under = [f"{scores[row]:.4g}", shortened(table.kinds[row] or label)]
        for line, text in enumerate(under):
            y = len(strips) + 0.02 + 0.14 * line
            axes.text(column + 0.5, y, text, ha="center", va="top", fontsize=6.5)
        if label == "anomalous":
            frame(axes, 0, column)
    return figure


def train_maps(run: Run) -> Figure | None:
    """Draw the most anomalous training images and their maps, or None if no map was kept.

    As in `matches`, the maps of one score share one colour scale.
    """
    maps, images = run.maps(TRAIN_MAP), run.arrays.get("train_top_image")
    if images is None or not maps:
        return None
    strips = [("image", images[:COLUMNS]), *((f"by {n}", m[:COLUMNS]) for n, m in maps.items())]
    return strips_of(strips)[0]


def strips_of(strips: Sequence[tuple[str, Pictures]], *, below: float = 0.0) -> tuple[Figure, Axes]:
    """Draw lines of pictures, images ``[n, C, H, W]`` or maps ``[n, H, W]``, each with its name."""
    figure, axes = sheet(len(strips), COLUMNS, left=0.2, below=below)
    for line, (name, pictures) in enumerate(strips):
        text = shortened(name, 20)
        axes.text(-0.06, line + 0.5, text, rotation=90, ha="right", va="center", fontsize=7)
        for column, picture in enumerate(pictures):
            if picture.ndim == 2:
                ends = (min(0.0, float(pictures.min())), float(pictures.max()))
                place_map(axes, picture, line, column, ends)
            else:
                place_image(axes, picture, line, column)
    return figure, axes


def sheet(
    lines: int, columns: int, *, left: float = 0.0, below: float = 0.0
) -> tuple[Figure, Axes]:
    """Return a figure and axes that fill it, one unit per picture, line 0 on top.

    One set of axes for all pictures draws an order of magnitude faster than one for each. ``left``
    and ``below`` are room for text, in pictures.
    """
    width, height = left + columns, lines + below
    figure = Figure(figsize=(WIDTH, WIDTH * height / width))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(-left, columns), ylim=(height, 0.0), aspect="equal", autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def place_image(axes: Axes, image: Images, line: float, column: float) -> None:
    """Draw one uint8 image ``[C, H, W]`` pixel by pixel: grey, RGB, or the mean of its channels."""
    pixels = image.transpose(1, 2, 0)
    if pixels.shape[2] != 3:
        pixels = pixels.mean(axis=2)
    _place(axes, pixels, line, column, "gray", (0.0, 255.0))


def place_map(
    axes: Axes, values: Floats, line: float, column: float, ends: tuple[float, float]
) -> None:
    """Draw one map ``[H, W]`` on a scale between two values."""
    low, high = ends
    _place(axes, values, line, column, "magma", (low, high if high > low else low + 1.0))


def frame(axes: Axes, line: float, column: float, colour: str = ANOMALOUS) -> None:
    """Put a frame around a picture, in the colour of anomalies unless told otherwise."""
    size = 1 - 2 * MARGIN
    corner = (column + MARGIN, line + MARGIN)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=colour, linewidth=2.0))


def _place(
    axes: Axes,
    pixels: Pictures,
    line: float,
    column: float,
    colours: str,
    ends: tuple[float, float],
) -> None:
    height, width = pixels.shape[:2]
    half = (0.5 - MARGIN) * np.array([width, height]) / max(width, height)
    x, y = column + 0.5, line + 0.5
    axes.imshow(
        pixels,
        cmap=colours,
        vmin=ends[0],
        vmax=ends[1],
        interpolation="none",
        extent=(x - half[0], x + half[0], y + half[1], y - half[1]),
    )


def shortened(text: str, length: int = 14) -> str:
    """Cut a word so that it fits under a picture."""
    return text if len(text) <= length else text[: length - 1] + "…"


def sample_steps(paths: Sequence[Path], count: int = 9) -> list[tuple[str, str, bytes]]:
    """Return at most ``count`` evenly spaced sample grids as (title, file name, PNG).

    The first and the last are among them. File names are ``<images>_<phase>.png``.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))
    found = []
    for path in (paths[i] for i in chosen):
        images, _, phase = path.stem.partition("_")
        title = f"{int(images):,} images · {phase}" if images.isdigit() else path.stem
        found.append((title, path.name, path.read_bytes()))
    return found
