"""How a finished run reads a new image file: as `image-folder` read its training images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_datasets.decoding import quiet, with_channels
from anokit_datasets.folder import try_to_decode
from anokit_datasets.options import ImageFolderOptions
from anokit_datasets.resizing import fit


def folder_reader(
    options: ImageFolderOptions, spec: ImageSpec
) -> Callable[[Path], npt.NDArray[np.uint8]]:
    """Return a function that reads a file as uint8 ``[C, H, W]`` of the run's ``spec``.

    The function raises `DataError` where the file is no image, its channels cannot be brought to
    the run's, or its size differs where the recipe sets none.
    """

    def read(path: Path) -> npt.NDArray[np.uint8]:
        with quiet():
            image, reason = try_to_decode(path, options.white_level)
        if image is None:
            raise DataError(f"{path}: cannot be read as an image: {reason}")
        image = with_channels(image, spec.channels, path)
        if options.size is not None:
            return fit(image, options.size, options.resize)
        if image.shape[1:] != (spec.height, spec.width):
            raise DataError(
                f"{path}: is {image.shape[1]}×{image.shape[2]}, the run was made for "
                f"{spec.height}×{spec.width}; set [dataset] size in the recipe to resize images"
            )
        return image

    return read
