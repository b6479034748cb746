"""Pictures that stand beside a ranked one, so that whoever looks at it knows what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from anokit.errors import DataError
from anokit.report.contact_sheet import Cell, small
from anokit.report.originals import SMALL, Levels, read_original, said, save_picture, why

__all__ = ["NEAREST", "Near", "NearCard", "write_near"]

NEAREST = "nearest"
"""Folder of the pictures."""


@dataclass(frozen=True)
class Near:
    """An image that is like a ranked one."""

    name: str
    distance: float
    path: Path | None = None
    """None where it is no file"""
    picture: Image.Image | None = None
    """RGB; what is shown where it is no file"""


@dataclass(frozen=True)
class NearCard:
    """An image that is like a ranked one, as the page shows it."""

    name: str
    distance: str
    address: str = ""
    """in the gallery's folder; empty where there is no picture"""
    width: int = 0
    height: int = 0
    problem: str = ""


def write_near(
    folder: Path, stem: str, near: Sequence[Near], levels: Levels
) -> tuple[list[NearCard], list[Cell]]:
    """Write ``nearest/<stem>_<n>``; return the places on the page and on the sheet."""
    cards, cells = [], []
    for number, image in enumerate(near, start=1):
        name = said(Path(image.path.name) if image.path else Path(image.name))
        distance = f"{image.distance:.3g}"
        try:
            picture = shown(image.path, image.picture, SMALL, levels)
        except DataError as error:
            cards.append(NearCard(name, distance, problem=why(error, image.path)))
            cells.append(Cell(None, None, f"distance {distance}", name, False))
            continue
        # Enlarged ones are of few colours, which JPEG would blur.
        address = f"{NEAREST}/{stem}_{number}.{'jpg' if image.path else 'png'}"
        save_picture(folder / address, picture)
        cards.append(NearCard(name, distance, address, *picture.size))
        cells.append(Cell(small(picture), None, f"distance {distance}", name, False))
    return cards, cells


def shown(
    path: Path | None, picture: Image.Image | None, longest: int, levels: Levels
) -> Image.Image:
    """Return a picture that is given, or else the one in a file, as `read_original` has it."""
    if picture is not None or path is None:
        assert picture is not None, "an image is a file or comes with its picture"
        return picture
    return read_original(path, longest, levels)
