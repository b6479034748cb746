"""One picture of many: small originals in a grid, each with rank, score and name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from anokit.report.style import ANOMALOUS, INK, MUTED

__all__ = ["CELL", "MOST", "Cell", "contact_sheet"]

CELL = 224
"""Side in pixels of the square that a picture is fitted into."""

MOST = 240
"""Most pictures on a sheet; more could be opened by few programs."""

GAP, BELOW, EDGE, FRAME = 20, 50, 28, 4
"""Pixels between cells, under a picture for text, round the sheet, and of a frame."""

PAPER, TINT = "#ffffff", "#f1efea"


@dataclass(frozen=True)
class Cell:
    """What one place of the sheet shows."""

    picture: Image.Image | None
    """RGB, at most `CELL` pixels a side; None where the original cannot be shown"""
    rank: int
    score: str
    name: str
    flagged: bool


def contact_sheet(cells: Sequence[Cell]) -> Image.Image:
    """Draw the first `MOST` cells in reading order, RGB; the flagged ones have a frame."""
    shown = cells[:MOST]
    columns = min(max(4, math.ceil(math.sqrt(1.4 * len(shown)))), 15, max(1, len(shown)))
    lines = max(1, math.ceil(len(shown) / columns))
    step, height = CELL + GAP, CELL + BELOW + GAP
    left_out = len(cells) - len(shown)
    size = (
        2 * EDGE + columns * step - GAP,
        2 * EDGE + lines * height - GAP + (32 if left_out else 0),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    bold, plain = _font("DejaVuSans-Bold.ttf", 15), _font("DejaVuSans.ttf", 13)
    for at, cell in enumerate(shown):
        line, column = divmod(at, columns)
        x, y = EDGE + column * step, EDGE + line * height
        _place(sheet, draw, cell, x, y, plain)
        under = y + CELL + 9
        draw.text((x, under), str(cell.rank), INK, bold)
        start = x + draw.textlength(str(cell.rank), bold) + 8
        draw.text((start, under), cell.score, ANOMALOUS if cell.flagged else INK, plain)
        draw.text((x, under + 20), _fitted(draw, cell.name, plain), MUTED, plain)
    if left_out:
        draw.text((EDGE, size[1] - EDGE - 8), f"and {left_out:,} more", MUTED, plain)
    return sheet


def _place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    x: int,
    y: int,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Put a picture at the foot of its square, so that it stands on its text."""
    if cell.picture is None:
        width, height = CELL, CELL
        top = y
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), TINT)
        draw.text((x + CELL // 2, y + CELL // 2), "cannot be shown", MUTED, font, anchor="mm")
    else:
        width, height = cell.picture.size
        top = y + CELL - height
        sheet.paste(cell.picture, (x, top))
    if cell.flagged:
        corners = (x - FRAME, top - FRAME, x + width + FRAME - 1, top + height + FRAME - 1)
        draw.rectangle(corners, outline=ANOMALOUS, width=FRAME - 1)


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font that Matplotlib brings along: it has Greek and Cyrillic too."""
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)


def _fitted(draw: ImageDraw.ImageDraw, name: str, font: ImageFont.FreeTypeFont) -> str:
    """Shorten a name in its middle, since beginnings are often alike, until it fits."""
    kept = name
    length = len(name)
    while draw.textlength(kept, font) > CELL and length > 2:
        length -= 1
        kept = f"{name[: length // 2]}…{name[len(name) - length // 2 :]}"
    return kept
