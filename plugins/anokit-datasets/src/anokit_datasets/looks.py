"""What is said of the values of images: clipped, dark, of few grey levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from anokit.data import Picture
from anokit.errors import DataError
from anokit_datasets.picture_options import PictureOptions

NAMED = 3
"""Masks that a notice names; the rest is counted."""
DARK = 32
"""Grey value that some training image should reach; else a wrong white level is likely."""
BLACK = 1
"""Grey value up to which nothing can be seen, and nothing learnt."""
FEW = 32
"""Grey levels that deeper images should make use of; else wrong levels are likely."""
WIDE = 128
"""Grey levels in use that no other levels could more than double."""
FLAT = 4
"""Grey levels between the darkest and the brightest pixel of an image that shows nearly nothing."""
WHITES = (1, 255, 1023, 4095, 16383, 65535, 2**24 - 1, 2**32 - 1)
"""Likely largest values: of floats, and of cameras of 8 to 32 bits."""

Ranges = Mapping[int, tuple[float, float]]
"""Smallest and largest value of files of more than 8 bits, by their place."""


class Looks:
    """Notes what the files of a split hold, and says what is odd about it.

    Parameters
    ----------
    options
        of the dataset.
    where
        they lie, in words.
    total
        of files.
    """

    def __init__(self, options: PictureOptions, where: str, total: int) -> None:
        self.options = options
        self.where = where
        self.darkest, self.brightest = np.full(total, 255, np.uint8), np.zeros(total, np.uint8)
        self.read = np.zeros(total, bool)
        self.values: dict[int, tuple[float, float]] = {}
        self.clipped: dict[int, tuple[float, float]] = {}

    def note(self, place: int, picture: Picture) -> None:
        """Note one picture; several threads may do so."""
        self.read[place] = True
        pixels = picture.pixels
        colours = pixels[:-1] if len(pixels) in (2, 4) else pixels
        self.darkest[place] = colours.min(initial=255)
        self.brightest[place] = colours.max(initial=0)
        if picture.values is not None:
            self.values[place] = picture.values
        if picture.clipped is not None:
            self.clipped[place] = picture.clipped

    def about(self, name: str) -> list[str]:
        """Return sentences on the images; ``name`` says which ones they are.

        Raises
        ------
        DataError
            Where all training images are black, from which nothing can be learnt.
        """
        if not self.read.any():
            return []
        said = self.about_clipping(name)
        if name == "training" and is_set(self.options) and not self.values:
            said.append(
                f"{levels_in_words(self.options)} under [dataset] has no effect: all training "
                "images hold 8 bits"
            )
        return said if name == "contaminating" else [*said, *self.about_contrast(name)]

    def about_clipping(self, name: str) -> list[str]:
        """Return a sentence where values of some images lie outside of what becomes 0 to 255."""
        if not self.clipped:
            return []
        low, high = range_of(self.clipped)
        text = (
            f"{len(self.clipped)} of {self.read.sum()} {name} images hold values that are clipped, "
            f"{low:g} at the least and {high:g} at most"
        )
        if is_set(self.options):
            text += f"; the recipe sets {levels_in_words(self.options)}"
        elif low < high:
            text += f"; {fitting(low, high)} under [dataset] would keep them"
        return [text]

    def about_contrast(self, name: str) -> list[str]:
        """Return a sentence where all images are dark, use few grey levels or show a single one."""
        darkest, brightest = self.darkest[self.read], self.brightest[self.read]
        top, used = int(brightest.max()), int(brightest.max()) - int(darkest.min())
        if top < DARK:
            said = f"no {name} image is brighter than {top} of 255"
        elif (brightest.astype(int) - darkest < FLAT).all():
            said = f"all {len(brightest)} {name} images are of (nearly) one grey level"
        elif len(self.values) == len(brightest) and used < FEW:
            said = f"the {name} images use {used + 1} of 256 grey levels"
        else:
            return []
        said += f"; {advice(self.values, self.options, used)}"
        if top <= BLACK and name == "training":
            raise DataError(f"{self.where}: {said}")
        return [said]


def advice(values: Ranges, options: PictureOptions, used: int) -> str:
    """Return what may be done about images that show little and use ``used`` grey levels."""
    if not values:
        return (
            "check the files: the values of 8 bits are taken as they are, 0 is black and 255 white"
        )
    low, high = range_of(values)
    held = f"their files hold values from {low:g} to {high:g}"
    if low == high or used >= WIDE:
        return f"{held}: check them"
    if is_set(options):
        held += f", and the recipe sets {levels_in_words(options)}"
    return f"{held}: set {fitting(low, high)} under [dataset]"


def is_set(options: PictureOptions) -> bool:
    """Return whether the recipe says which values become black and white."""
    return options.white_level is not None or options.black_level != 0


def levels_in_words(options: PictureOptions) -> str:
    """Return the levels that a recipe sets."""
    white = "" if options.white_level is None else f", white_level = {options.white_level:g}"
    return f"black_level = {options.black_level:g}{white}"


def fitting(low: float, high: float) -> str:
    """Return levels that keep values from ``low`` to ``high``, as a recipe has them.

    Black stays 0 where the values begin near it, and white is the largest of some number of bits
    where they fill these; otherwise both are rounded outwards.
    """
    step = 10 ** math.floor(math.log10(max(high - low, 1e-30)) - 1)
    black: float = 0
    if low < 0 or low > (high - low) / 2:
        black = math.floor(low / step) * step
    white = math.ceil(high / step) * step
    if not black:
        likely = next((one for one in WHITES if one >= high), white)
        white = likely if high > likely / 8 else white
    levels = f"white_level = {white:.10g}"
    return f"black_level = {black:.10g} and {levels}" if black else levels


def range_of(values: Ranges) -> tuple[float, float]:
    """Return the smallest and the largest of all values."""
    return min(pair[0] for pair in values.values()), max(pair[1] for pair in values.values())


def about_sizes(resized: Sequence[str], total: int) -> list[str]:
    """Return a sentence where masks were brought to the sizes of their images."""
    if not resized:
        return []
    text = (
        f"{len(resized)} of {total} masks are of another size than their images and were resized "
        f"by nearest neighbour: {', '.join(resized[:NAMED])}"
    )
    return [text + (", …" if len(resized) > NAMED else "")]
