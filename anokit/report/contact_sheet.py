"""One picture of many: small originals in a grid, each with rank, score and name.

Where other pictures stand beside each one, they follow it closely on its line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from anokit.report.colours import ANOMALOUS, INK, MUTED

__all__ = ["CELL", "MOST", "Cell", "contact_sheet", "on_sheet", "small"]

CELL = 224
"""Side in pixels of the square that a picture is fitted into."""

MOST = 240
"""Most pictures on a sheet; more could be opened by few programs."""

GAP, BELOW, EDGE, FRAME = 20, 50, 28, 4
"""Pixels between cells, under a picture for text, round the sheet, and of a frame."""

CLOSE, APART = 8, 44
"""Pixels between a cell and those beside it, and between two such groups."""

PAPER, TINT = "#ffffff", "#f1efea"


@dataclass(frozen=True)
class Cell:
    """What one place of the sheet shows."""

    picture: Image.Image | None
    """RGB, at most `CELL` pixels a side; None where the original cannot be shown"""
    rank: int | None
    """None beside a ranked picture"""
    score: str
    name: str
    flagged: bool
    beside: Sequence["Cell"] = ()


def contact_sheet(cells: Sequence[Cell]) -> Image.Image:
    """Draw the first cells, `MOST` pictures, in reading order, RGB; the flagged have a frame."""
    shown = cells[: on_sheet(cells)]
    across = _across(shown)
    columns = min(max(4, math.ceil(math.sqrt(1.4 * len(shown) * across))), 15)
    columns = min(-(-columns // across), max(1, len(shown)))
    lines = max(1, math.ceil(len(shown) / columns))
    gap = GAP if across == 1 else APART
    step, height = across * (CELL + CLOSE) - CLOSE + gap, CELL + BELOW + GAP
    left_out = len(cells) - len(shown)
    size = (
        2 * EDGE + columns * step - gap,
        2 * EDGE + lines * height - GAP + (32 if left_out else 0),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    plain = _font("DejaVuSans.ttf", 13)
    for at, cell in enumerate(shown):
        line, column = divmod(at, columns)
        x, y = EDGE + column * step, EDGE + line * height
        for place, one in enumerate([cell, *cell.beside]):
            _draw(sheet, draw, one, x + place * (CELL + CLOSE), y, plain)
    if left_out:
        draw.text((EDGE, size[1] - EDGE - 8), f"and {left_out:,} more", MUTED, plain)
    return sheet


def on_sheet(cells: Sequence[Cell]) -> int:
    """Return how many of the cells a sheet has room for: `MOST` pictures in all."""
    return min(len(cells), MOST // _across(cells))


def small(picture: Image.Image) -> Image.Image:
    """Return a copy that fits into a cell."""
    copy = picture.copy()
    copy.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return copy


def _across(cells: Sequence[Cell]) -> int:
    """Return the most pictures that belong together, the ranked one and those beside it."""
    return 1 + max((len(cell.beside) for cell in cells), default=0)


def _draw(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    x: int,
    y: int,
    plain: ImageFont.FreeTypeFont,
) -> None:
    """Put a picture and its text at a place of the sheet."""
    _place(sheet, draw, cell, x, y, plain)
    under, start = y + CELL + 9, float(x)
    if cell.rank is not None:
        bold = _font("DejaVuSans-Bold.ttf", 15)
        draw.text((x, under), str(cell.rank), INK, bold)
        start += draw.textlength(str(cell.rank), bold) + 8
    colour = ANOMALOUS if cell.flagged else MUTED if cell.rank is None else INK
    draw.text((start, under), cell.score, colour, plain)
    draw.text((x, under + 20), _fitted(draw, cell.name, plain), MUTED, plain)


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
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)


def _fitted(draw: ImageDraw.ImageDraw, name: str, font: ImageFont.FreeTypeFont) -> str:
    """Shorten a name in its middle, since beginnings are often alike, until it fits."""
    kept = name
    length = len(name)
    while draw.textlength(kept, font) > CELL and length > 2:
        length -= 1
        kept = f"{name[: length // 2]}…{name[len(name) - length // 2 :]}"
    return kept
