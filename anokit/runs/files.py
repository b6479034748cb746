"""Image files as a run's networks see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from anokit.data.levels import with_channels
from anokit.data.pictures import Picture, try_to_decode
from anokit.data.quiet import quiet
from anokit.errors import DataError, PluginError
from anokit.recipe.parts import DatasetPart
from anokit.registry.blame import blame
from anokit.types import ImageSpec, Pieces


class FileReader:
    """Reads image files as a dataset reads its own, where the dataset can tell how."""

    def __init__(self, dataset: DatasetPart, spec: ImageSpec) -> None:
        self.dataset = dataset
        self.spec = spec
        make = dataset.entry.component.load_reader()
        with blame(dataset.entry, "making its reader of files"):
            self.reader = make(dataset.options, spec) if make else None

    def pieces(self, path: Path) -> Pieces:
        """Return the image in a file as a whole, or its tiles, and what each one shows.

        Raises
        ------
        DataError
            Where the file is no image that can be read, or one that does not fit.
        """
        if self.reader is None:
            image, picture = stretch_image(path, self.spec)
            height, width = picture.size
            boxes = [(0, 0, width, height)]
            return Pieces(torch.from_numpy(image)[None], boxes, (width, height), picture.clipped)
        with blame(self.dataset.entry, f"reading {path}"):
            make = getattr(self.reader, "pieces", None)
            if make is None:
                image = np.asarray(self.reader(path))
                # The reader does not tell what it shows: all of the file, as far as is known.
                found = Pieces(torch.tensor(image)[None], [(0, 0, 1, 1)], (1, 1))
            else:
                found = make(path)
        shape = (self.spec.channels, self.spec.height, self.spec.width)
        if tuple(found.images.shape[1:]) != shape or len(found.boxes) != len(found.images):
            raise PluginError(
                f"the reader of dataset {self.dataset.entry.qualified!r} made "
                f"{list(found.images.shape)} with {len(found.boxes)} boxes of {path}; expected "
                f"[T, {', '.join(map(str, shape))}] with T boxes"
            )
        return found


def stretch_image(path: Path, spec: ImageSpec) -> tuple[npt.NDArray[np.uint8], Picture]:
    """Read an image file, convert it to ``spec``'s channels and stretch it to its size.

    Returns it, and the picture in the file.

    Raises
    ------
    DataError
        Where the file is no image that can be read, or its channels cannot be made the spec's.
    """
    with quiet():
        picture, reason = try_to_decode(path, None)
    if picture is None:
        raise DataError(f"{path}: cannot be read as an image: {reason}")
    pixels = with_channels(picture.pixels, spec.channels, path)
    fitted = [
        np.asarray(
            Image.fromarray(plane).resize((spec.width, spec.height), Image.Resampling.BILINEAR)
        )
        for plane in np.ascontiguousarray(pixels)
    ]
    return np.stack(fitted), picture
