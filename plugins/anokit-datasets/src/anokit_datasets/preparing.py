"""From a decoded file to the images of a dataset: one of the wanted size, or its tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anokit.data import Picture, with_channels
from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_datasets.picture_options import LEAST_TILE, PictureOptions
from anokit_datasets.resizing import (
    Box,
    Mask,
    UInt8,
    fit,
    fit_mask,
    resize,
    scaled,
    to_planes,
    view,
)
from anokit_datasets.tiling import tile_boxes, tile_count

MARGIN = 2
"""Times the wanted size that a JPEG is decoded at, at least."""


def least(options: PictureOptions, height: int, width: int) -> tuple[int, int]:
    """Return the least height and width to decode a file of ``height`` × ``width`` at."""
    if options.size is None:
        return height, width
    if options.tiles is not None:
        part = options.tiles.size
        needed = math.ceil(height * options.size / part), math.ceil(width * options.size / part)
    else:
        needed = scaled(height, width, options.size, options.resize)
    return MARGIN * needed[0], MARGIN * needed[1]


@dataclass(frozen=True)
class Preparation:
    """What is done with every file of an image folder, in training and afterwards.

    Parameters
    ----------
    options
        of the dataset.
    spec
        of the images that come out.
    example
        the file that was the first to give the spec, for messages.
    """

    options: PictureOptions
    spec: ImageSpec
    example: Path | None = None

    def count(self, height: int, width: int, path: Path) -> int:
        """Return how many images a file gives.

        Raises
        ------
        DataError
            Where it is too small for a tile.
        """
        tiles = self.options.tiles
        if tiles is None:
            return 1
        if min(height, width) < tiles.size:
            side = min(height, width)
            lower = f"set tiles.size to {side} or less, or " if side >= LEAST_TILE else ""
            raise DataError(
                f"{path} is {height}×{width} (height×width), expected at least {tiles.size} pixels "
                f"a side, the size of a tile; {lower}remove the file"
            )
        return tile_count(height, width, tiles.size, tiles.overlap)

    def boxes(self, height: int, width: int, path: Path) -> Sequence[Box]:
        """Return what of a file its images show, in its pixels.

        Raises
        ------
        DataError
            Where it is too small for a tile, or of another size than the others.
        """
        size, tiles, spec = self.options.size, self.options.tiles, self.spec
        if tiles is not None:
            self.count(height, width, path)
            return list(tile_boxes(height, width, tiles.size, tiles.overlap))
        if size is not None:
            return [view(height, width, size, self.options.resize)]
        if (height, width) != (spec.height, spec.width):
            if self.example is None:
                raise DataError(
                    f"{path}: is {height}×{width}, the run was made for {spec.height}×{spec.width}"
                    "; set [dataset] size in the recipe to resize images"
                )
            raise DataError(
                f"images of different sizes: {self.example} is {spec.height}×{spec.width}, "
                f"{path} is {height}×{width} (height×width); set size = 64, say, and resize"
            )
        return [(0, 0, width, height)]

    def fill(self, images: UInt8, picture: Picture, path: Path) -> None:
        """Write the images of ``picture`` into ``images`` ``[T, C, H, W]``, one for each box.

        Raises
        ------
        DataError
            Where its channels cannot be brought to the spec's, or as `boxes` does.
        """
        spec, size = self.spec, self.options.size
        boxes = self.boxes(*picture.size, path)
        if self.options.tiles is None:
            image = picture.pixels
            if size is not None:
                image = fit(image, size, self.options.resize, picture.size, picture.window)
            images[0] = with_channels(image, spec.channels, path)
            return
        side = self.options.tiles.size
        if spec.height == side:
            for place, (left, top, right, bottom) in enumerate(boxes):
                tile = picture.pixels[:, int(top) : int(bottom), int(left) : int(right)]
                images[place] = with_channels(tile, spec.channels, path)
            return
        planes = to_planes(picture.pixels)
        left, top, right, bottom = picture.window
        across, down = (right - left) / picture.size[1], (bottom - top) / picture.size[0]
        for place, box in enumerate(boxes):
            inside = (
                left + box[0] * across,
                top + box[1] * down,
                left + box[2] * across,
                top + box[3] * down,
            )
            tile = resize(planes, spec.height, spec.width, inside)
            images[place] = with_channels(tile, spec.channels, path)

    def images(self, picture: Picture, path: Path) -> UInt8:
        """Return the images of ``picture``, ``[T, C, H, W]``; raises as `fill` does."""
        count = len(self.boxes(*picture.size, path))
        images = np.empty((count, self.spec.channels, self.spec.height, self.spec.width), np.uint8)
        self.fill(images, picture, path)
        return images

    def masks(self, mask: Mask, path: Path) -> list[Mask]:
        """Return the masks ``[H, W]`` of the images of a file whose mask is ``mask``."""
        size = self.options.size
        if self.options.tiles is None:
            return [mask if size is None else fit_mask(mask, size, self.options.resize)]
        height, width = mask.shape
        parts = [
            mask[int(top) : int(bottom), int(left) : int(right)]
            for left, top, right, bottom in self.boxes(height, width, path)
        ]
        return [fit_mask(part, self.spec.height, "stretch") for part in parts]
