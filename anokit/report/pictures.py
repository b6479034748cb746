"""The pictures of one ranked image: its original, and its map painted over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from anokit.errors import DataError
from anokit.report.beside import shown
from anokit.report.heat import Heat, HeatScale
from anokit.report.originals import SMALL, Levels, save_picture, why
from anokit.report.overlays import paint
from anokit.store.files import make_folder, place_copy

__all__ = ["ORIGINALS", "Made", "make_pictures", "take_pictures"]

ORIGINALS = "originals"
"""Folder of the originals of images that have an overlay."""


@dataclass(frozen=True)
class Made:
    """Pictures of an image in some folder; their paths are relative to it."""

    original: str = ""
    """empty where there is none"""
    overlay: str = ""
    """the map over the original; empty where the score has no map"""
    width: int = 0
    height: int = 0
    problem: str = ""
    """why the original cannot be shown"""


def make_pictures(
    folder: Path,
    name: str,
    path: Path,
    heat: Heat | None,
    scale: HeatScale | None,
    longest: int,
    levels: Levels,
    picture: Image.Image | None = None,
) -> tuple[Made, Image.Image | None]:
    """Write the pictures of an image into a folder; return them, and the original if there is one.

    The overlay is ``<name>.png`` and the original ``originals/<name>`` or, without overlay,
    ``<name>.png``. ``picture``, RGB, is what is shown where the image is no file.

    Raises
    ------
    CheckpointError
        Where they cannot be written.
    """
    try:
        original = shown(path, picture, longest, levels)
    except DataError as error:
        return Made(problem=why(error, path)), None
    address, overlay = f"{name}.png", ""
    if heat is not None and scale is not None:
        overlay = address
        save_picture(folder / overlay, paint(original, heat, scale))
        # What is small is often drawn or of few pixels, which JPEG would blur.
        address = f"{ORIGINALS}/{name}.{'png' if max(original.size) <= SMALL else 'jpg'}"
    save_picture(folder / address, original)
    return Made(address, overlay, *original.size), original


def take_pictures(made: Made, source: Path, folder: Path, name: str) -> Made:
    """Give pictures that were made in ``source`` a place and a name in another folder, too.

    Raises
    ------
    CheckpointError
        Where that cannot be done.
    """

    def taken(address: str) -> str:
        if not address:
            return ""
        new = str(Path(address).with_name(f"{name}{Path(address).suffix}"))
        make_folder((folder / new).parent)
        place_copy(source / address, folder / new)
        return new

    return Made(taken(made.original), taken(made.overlay), made.width, made.height, made.problem)
