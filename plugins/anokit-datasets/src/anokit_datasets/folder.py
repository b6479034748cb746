"""Any folder of images as a dataset."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.data import ArraySplit
from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_datasets.decoding import decode, quiet, with_channels
from anokit_datasets.layout import Layout, read_layout
from anokit_datasets.listing import read_list
from anokit_datasets.options import ImageFolderOptions
from anokit_datasets.resizing import fit, fit_mask
from anokit_datasets.source import Source, draw, draw_in_proportion
from anokit_datasets.storage import reserve

UInt8 = npt.NDArray[np.uint8]

MAX_IN_MEMORY = 2**30
"""Bytes of one split beyond which its images are decoded into a temporary file."""
NAMED = 3
"""Unreadable files that a notice names; the rest is counted."""
DARK = 32
"""Grey value that some training image should reach; else a wrong white level is likely."""
PIECE = 2048
"""Files handed to the threads at once."""


def image_folder(options: ImageFolderOptions) -> Source:
    """Return the images of ``options.root``; see `anokit_datasets.layout` for what lies where.

    Or those of ``options.files``, see `anokit_datasets.listing`. Ids are paths below the root, or
    paths as they are listed. A file that cannot be read is left out and told in a notice.

    Raises
    ------
    MissingDataError
        Where the folder is missing or holds no image, or a listed file is missing.
    DataError
        Where no training image can be read, or images differ in channels or, without ``size``, in
        shape.
    """
    if options.files is not None:
        layout = read_list(options.files)
    else:
        layout = read_layout(Path(options.root or "."))
    return FolderReader(options, layout).read()


@dataclass(frozen=True)
class Wanted:
    """What every image must be brought to, and the file that was the first to say so."""

    spec: ImageSpec
    example: Path
    channels_in_file: int


class FolderReader:
    """Decodes the files of one `Layout`. Used once.

    Parameters
    ----------
    options
        of the dataset.
    layout
        the files.
    """

    def __init__(self, options: ImageFolderOptions, layout: Layout) -> None:
        self.options = options
        self.layout = layout
        self.notices = list(layout.notices)
        self.source = "image folder" if options.files is None else "listed files"

    def read(self) -> Source:
        """Decode everything."""
        options, layout = self.options, self.layout
        chosen = draw(len(layout.train), options.max_train, options.draw_seed, "folder", "train")
        train_files = [layout.train[i] for i in chosen]
        labels = [layout.label(path) for path in layout.test]
        kept = draw_in_proportion(labels, options.max_test, options.draw_seed, "folder", "test")
        test_files = [layout.test[i] for i in kept]
        with quiet():
            wanted = self.look_at_first(train_files)
            train = self.split(train_files, wanted, "training")
            contaminants = self.split(layout.contaminants, wanted, "contaminating")
            test = self.split(test_files, wanted, "test")
        if train is None:
            raise DataError(self.notices[-1])
        return Source(
            spec=wanted.spec,
            train=train,
            contaminants=contaminants,
            test=test,
            protocol=self.source if test is not None else f"{self.source} without a test set",
            notices=tuple(self.notices),
        )

    def look_at_first(self, files: Sequence[Path]) -> Wanted:
        """Return what the first readable file and the options ask of all others."""
        failures = []
        for path in files:
            image, reason = try_to_decode(path, self.options.white_level)
            if image is None:
                failures.append((path, reason))
                continue
            channels = image.shape[0] if self.options.channels == "auto" else self.options.channels
            size = self.options.size
            height, width = (size, size) if size is not None else image.shape[1:]
            return Wanted(ImageSpec(channels, height, width), path, image.shape[0])
        where = "files" if self.options.root is None else self.options.root
        raise DataError(f"{where}: {self.describe(failures, len(files), 'training')}")

    def split(self, files: Sequence[Path], wanted: Wanted, name: str) -> ArraySplit | None:
        """Decode ``files``; None where there are none, or none that can be read."""
        if not files:
            return None
        images = self.allocate(len(files), wanted.spec)
        shapes: list[tuple[int, int] | None] = [None] * len(files)
        brightest = np.zeros(len(files), np.uint8)
        failures: list[tuple[Path, str]] = []

        def work(place: int) -> str:
            image, reason = try_to_decode(files[place], self.options.white_level)
            if image is not None:
                images[place] = self.bring(image, wanted, files[place])
                shapes[place] = (image.shape[1], image.shape[2])
                brightest[place] = image.max(initial=0)
            return reason

        with ThreadPoolExecutor(min(16, (os.cpu_count() or 1) + 2)) as pool:
            for start in range(0, len(files), PIECE):
                places = range(start, min(start + PIECE, len(files)))
                for place, reason in zip(places, pool.map(work, places), strict=True):
                    if reason:
                        failures.append((files[place], reason))
        if failures:
            self.notices.append(self.describe(failures, len(files), name))
        if name == "training" and brightest.max() < DARK:
            self.notices.append(
                f"no training image is brighter than {brightest.max()} of 255; "
                "where a 16-bit file holds 12 bits, say, set white_level = 4095"
            )
        good = [place for place, shape in enumerate(shapes) if shape is not None]
        if not good:
            return None
        for to, place in enumerate(good):
            if to != place:
                images[to] = images[place]
        paths = [files[place] for place in good]
        labelled = name == "test"
        masks = self.masks(paths, [shapes[place] for place in good], wanted) if labelled else None
        return ArraySplit(
            images[: len(good)],
            [self.layout.id(path) for path in paths],
            files=[str(path) for path in paths],
            labels=[self.layout.label(path) for path in paths] if labelled else None,
            kinds=[self.layout.kind(path) for path in paths] if name != "training" else None,
            masks=masks,
        )

    def allocate(self, count: int, spec: ImageSpec) -> UInt8:
        """Return an array ``[N, C, H, W]``: in memory, or in a temporary file where it is large."""
        shape = (count, spec.channels, spec.height, spec.width)
        size = math.prod(shape)
        if size <= MAX_IN_MEMORY:
            return np.empty(shape, np.uint8)
        try:
            # The file has no name: it is gone with the last map of it, whatever happens.
            with tempfile.TemporaryFile(dir=self.options.cache) as file:
                reserve(file, size)
                return np.memmap(file, np.uint8, "w+", shape=shape)
        except OSError as error:
            place = self.options.cache or tempfile.gettempdir()
            raise DataError(
                f"no room for the decoded images in {place}: {error}; "
                "set `cache` to a folder on a larger disk"
            ) from error

    def bring(self, image: UInt8, wanted: Wanted, path: Path) -> UInt8:
        """Give ``image`` the channels and the size that are wanted, or raise DataError."""
        if self.options.channels == "auto" and image.shape[0] != wanted.channels_in_file:
            raise DataError(
                f"images with different channels: {wanted.example} has {wanted.channels_in_file}, "
                f"{path} has {image.shape[0]}; set channels = 1 (grey) or channels = 3 (colour)"
            )
        spec = wanted.spec
        image = with_channels(image, spec.channels, path)
        if self.options.size is not None:
            return fit(image, self.options.size, self.options.resize)
        if image.shape[1:] != (spec.height, spec.width):
            raise DataError(
                f"images of different sizes: {wanted.example} is {spec.height}×{spec.width}, "
                f"{path} is {image.shape[1]}×{image.shape[2]} (height×width); set size = 64, say, "
                "and resize"
            )
        return image

    def masks(
        self, paths: Sequence[Path], shapes: Sequence[tuple[int, int] | None], wanted: Wanted
    ) -> dict[int, npt.NDArray[np.bool_]]:
        """Return the masks of the test images, by index, resized as their images were."""
        found = {}
        failures = []
        for index, (path, shape) in enumerate(zip(paths, shapes, strict=True)):
            file = self.layout.masks.get(path)
            if file is None:
                continue
            image, reason = try_to_decode(file, None)
            if image is not None and image.shape[1:] != shape:
                reason = f"{image.shape[1]}×{image.shape[2]}, its image {shape}"
            if image is None or reason:
                failures.append((file, reason))
                continue
            # Alpha, the last of two or four channels, says nothing about the anomaly.
            colour = image[:-1] if len(image) in (2, 4) else image
            mask: npt.NDArray[np.bool_] = colour.max(axis=0) > 0
            if self.options.size is not None:
                mask = fit_mask(mask, self.options.size, self.options.resize)
            found[index] = mask
        if failures:
            self.notices.append(self.describe(failures, len(self.layout.masks), "mask"))
        return found

    def describe(self, failures: Sequence[tuple[Path, str]], total: int, name: str) -> str:
        """Return the sentence that tells which files could not be read, the first few by name."""
        named = [f"{self.layout.id(path)} ({reason})" for path, reason in failures[:NAMED]]
        more = f" and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
        what = "masks" if name == "mask" else f"{name} images"
        return f"{len(failures)} of {total} {what} could not be used: {', '.join(named)}{more}"


def try_to_decode(path: Path, white_level: float | None) -> tuple[UInt8 | None, str]:
    """Return the image and "", or None and why it cannot be read."""
    try:
        return decode(path, white_level), ""
    except Exception as error:
        # Decoders raise all sorts on damaged files, and one file must not cost the others.
        reason = str(error).replace(repr(str(path)), "file").replace(str(path), "file")
        return None, (reason.splitlines() or [type(error).__name__])[0][:100]
