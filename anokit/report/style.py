"""One look for all figures, and the ways out: SVG for the page, PNG beside it, vectors for papers.

Colours in a figure are those of the printed page. In the page's SVG they become its own variables,
so that one figure suits a light and a dark page. Labels are never read as TeX: an id may hold a $.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anokit.report.colours import ANOMALOUS, INK, MUTED, NORMAL, RULE, THIRD

__all__ = [
    "drawing",
    "panels",
    "vector",
]

WIDTH = 7.2
"""inches: the measure of the page's text column"""

NARROW = 4.8
"""inches: of a figure that a telephone shows whole"""

VectorFormat = Literal["svg", "pdf"]

_VECTOR: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType: letters stay text, and publishers refuse Type 3
    "svg.fonttype": "path",  # a reader of the file may not have the font
    "svg.hashsalt": "anokit",
}

_DATED = {"svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
"""Metadata left out of a vector file, so that an equal figure makes an equal file."""

_VARIABLES = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    NORMAL: "var(--normal)",
    ANOMALOUS: "var(--anomalous)",
    THIRD: "var(--third)",
}

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.6,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save in the report's style; characters that the PNG's font lacks are no fault."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        yield


def panels(
    count: int, columns: int, height: float, width: float = WIDTH
) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with ``count`` axes, each row ``height`` inches high, of the page's width."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width, rows * height), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for spare in grid[count:]:
        spare.remove()
    return figure, list(grid[:count])


def png(figure: Figure) -> bytes:
    """Return the figure as PNG on white, 160 dots per inch. Its layout is settled from then on."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white")
    figure.set_layout_engine("none")
    return buffer.getvalue()


def svg(figure: Figure, name: str) -> str:
    """Return the figure as an ``<svg>`` element to stand in a page beside others.

    ``name`` keeps the ids of clip paths and markers apart from those of other figures.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", dpi=160, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for name in re.findall(r' id="([^"]+)"', text):
        if f"#{name}" not in text:
            text = text.replace(f' id="{name}"', "")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def vector(figure: Figure, style: VectorFormat) -> bytes:
    """Return the figure as a file of its own: lines and letters without pixels, no date, on white.

    Equal figures give equal bytes. Letters are outlines in SVG and embedded TrueType in PDF.
    """
    buffer = io.BytesIO()
    metadata = dict.fromkeys(_DATED[style])
    with mpl.rc_context(_VECTOR):
        figure.savefig(buffer, format=style, dpi=160, facecolor="white", metadata=metadata)
    return buffer.getvalue()
