"""How a finished run reads a new image file: as `image-folder` read its training images."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from anokit.data import Picture, quiet, try_to_decode
from anokit.errors import DataError
from anokit.types import ImageSpec, Pieces
from anokit_datasets.picture_options import PictureOptions
from anokit_datasets.preparing import Preparation, least
from anokit_datasets.resizing import UInt8


def folder_reader(options: PictureOptions, spec: ImageSpec) -> FileReader:
    """Return what reads a file as images of the run's ``spec``."""
    return FileReader(options, spec)


class FileReader:
    """Reads files one by one.

    Parameters
    ----------
    options
        of the dataset.
    spec
        of the run's images.
    """

    def __init__(self, options: PictureOptions, spec: ImageSpec) -> None:
        self.preparation = Preparation(options, spec)

    def __call__(self, path: Path) -> UInt8:
        """Return the image in ``path`` as uint8 ``[C, H, W]``.

        Raises
        ------
        DataError
            Where the file is no image, its channels cannot be brought to the run's, its size
            differs where the recipe sets none, or it makes more than one tile.
        """
        images = self.preparation.images(self.decode(path), path)
        if len(images) > 1:
            raise DataError(
                f"{path}: makes {len(images)} tiles, expected one image; read it in pieces"
            )
        return images[0]

    def pieces(self, path: Path) -> Pieces:
        """Return the image in ``path``, or its tiles, and what each shows.

        Boxes and size are those of the picture as it is looked at: turned as its tag says. With
        ``resize = "pad"`` the box reaches beyond it, with ``"crop"`` it is the part that is kept.

        Raises
        ------
        DataError
            Where the file is no image, its channels cannot be brought to the run's, its size
            differs where the recipe sets none, or it is smaller than a tile.
        """
        picture = self.decode(path)
        height, width = picture.size
        return Pieces(
            torch.from_numpy(self.preparation.images(picture, path)),
            self.preparation.boxes(height, width, path),
            (width, height),
            picture.clipped,
        )

    def decode(self, path: Path) -> Picture:
        """Return the decoded file, or raise `DataError`."""
        options = self.preparation.options
        with quiet():
            picture, reason = try_to_decode(
                path,
                options.white_level,
                partial(least, options),
                black_level=options.black_level,
            )
        if picture is None:
            raise DataError(f"{path}: cannot be read as an image: {reason}")
        return picture
