"""Any folder of images as a dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from anokit.data import (
    ArraySplit,
    Picture,
    expand,
    header_size,
    quiet,
    try_to_decode,
    try_to_decode_mask,
)
from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_datasets.layout import Layout, read_layout
from anokit_datasets.listing import read_list
from anokit_datasets.looks import Looks, about_sizes
from anokit_datasets.picture_options import ImageFolderOptions, PictureOptions
from anokit_datasets.preparing import Preparation, least
from anokit_datasets.resizing import Mask, UInt8, nearest_index
from anokit_datasets.source import Source, draw, draw_in_proportion
from anokit_datasets.storage import room_for

NAMED = 3
"""Unreadable files that a notice names; the rest is counted."""
PIECE = 2048
"""Files handed to the threads at once."""
AT_ONCE = 2**30
"""Bytes that the files being decoded may take together, about."""
BYTES_PER_PIXEL = 12
"""What a pixel takes while it is decoded: the decoder's copy, ours, and one to resize from."""


def image_folder(options: ImageFolderOptions) -> Source:
    """Return the images of ``options.root``; see `anokit_datasets.layout` for what lies where.

    Or those of ``options.files``, see `anokit_datasets.listing`. Ids are paths below the root, or
    paths as they are listed. A file that cannot be read is left out and told in a notice.

    Raises
    ------
    MissingDataError
        Where the folder is missing or holds no image, or a listed file is missing.
    DataError
        Where no training image can be read, images differ in channels or, without ``size``, in
        shape, or one is smaller than a tile.
    """
    if options.files is not None:
        layout = read_list(options.files)
    else:
        layout = read_layout(
            expand(options.root or "."),
            accept_defects=options.accept_defects,
            seed=options.draw_seed,
            validation=options.validation,
        )
    source = "image folder" if options.files is None else "listed files"
    return FolderReader(options, layout, source).read()


class FolderReader:
    """Decodes the files of one `Layout`. Used once.

    Parameters
    ----------
    options
        of the dataset.
    layout
        the files.
    source
        what they are, in words.
    """

    def __init__(self, options: PictureOptions, layout: Layout, source: str) -> None:
        self.options = options
        self.layout = layout
        self.notices = list(layout.notices)
        self.unread = {layout.id(folder): reason for folder, reason in layout.closed}
        self.source = source
        self.where = layout.where or str(layout.root)
        self.largest = 0  # pixels of the largest file, as far as known

    def read(self) -> Source:
        """Decode everything."""
        options, layout = self.options, self.layout
        chosen = draw(len(layout.train), options.max_train, options.draw_seed, "folder", "train")
        train_files = [layout.train[i] for i in chosen]
        labels = [layout.label(path) for path in layout.test]
        kept = draw_in_proportion(labels, options.max_test, options.draw_seed, "folder", "test")
        test_files = [layout.test[i] for i in kept]
        with quiet():
            self.look_at_first(train_files)
            train = self.split(train_files, "training")
            contaminants = self.split(layout.contaminants, "contaminating")
            test = self.split(test_files, "test")
        if train is None:
            raise DataError(self.notices[-1])
        return Source(
            spec=self.preparation.spec,
            train=train,
            contaminants=contaminants,
            test=test,
            protocol=self.source if test is not None else f"{self.source} without a test set",
            notices=tuple(self.notices),
            unread=self.unread,
        )

    def look_at_first(self, files: Sequence[Path]) -> None:
        """Take what the first readable file and the options ask of all others."""
        failures = []
        for path in files:
            picture, reason = self.decode(path)
            if picture is None:
                failures.append((path, reason))
                continue
            self.channels_in_file = len(picture.pixels)
            self.largest = picture.pixels[0].size
            channels = self.options.channels
            side = self.options.side
            spec = ImageSpec(
                self.channels_in_file if channels == "auto" else channels,
                *(picture.size if side is None else (side, side)),
            )
            self.preparation = Preparation(self.options, spec, path)
            return
        said = self.describe(failures, len(files), "training")
        raise DataError(f"{self.where}: {said}")

    def split(self, files: Sequence[Path], name: str) -> ArraySplit | None:
        """Decode ``files``; None where there are none, or none that can be read."""
        if not files:
            return None
        counts = self.counts(files)
        starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
        spec = self.preparation.spec
        images = room_for((starts[-1], spec.channels, spec.height, spec.width), self.options.cache)
        sizes: list[tuple[int, int] | None] = [None] * len(files)
        looks = Looks(self.options, self.where, len(files))
        failures: list[tuple[Path, str]] = []

        def work(place: int) -> str:
            path = files[place]
            picture, reason = self.decode(path)
            if picture is None:
                return reason
            self.check_channels(picture, path)
            if self.preparation.count(*picture.size, path) != counts[place]:
                return "its header tells another size than it has"
            self.preparation.fill(images[starts[place] : starts[place + 1]], picture, path)
            sizes[place] = picture.size
            looks.note(place, picture)
            return ""

        with ThreadPoolExecutor(self.workers()) as pool:
            for start in range(0, len(files), PIECE):
                places = range(start, min(start + PIECE, len(files)))
                for place, reason in zip(places, pool.map(work, places), strict=True):
                    if reason:
                        failures.append((files[place], reason))
        self.notices += looks.about(name)
        if failures:
            self.unread |= {self.layout.id(path): reason for path, reason in failures}
            self.notices.append(self.describe(failures, len(files), name))
        rows = [
            (place, row)
            for place, size in enumerate(sizes)
            if size is not None
            for row in range(starts[place], starts[place + 1])
        ]
        if not rows:
            return None
        for to, (_, row) in enumerate(rows):
            if to != row:
                images[to] = images[row]
        return self.labelled(images[: len(rows)], files, [p for p, _ in rows], sizes, name)

    def labelled(
        self,
        images: UInt8,
        files: Sequence[Path],
        places: Sequence[int],
        sizes: Sequence[tuple[int, int] | None],
        name: str,
    ) -> ArraySplit:
        """Return the split of ``images``, row n of which is of ``files[places[n]]``."""
        paths = [files[place] for place in places]
        parents = [self.layout.id(path) for path in paths]
        tiled = self.options.tiles is not None
        is_test = name == "test"
        return ArraySplit(
            images,
            self.tile_ids(files, places, sizes) if tiled else parents,
            labels=self.layout.labels(paths) if is_test else None,
            kinds=[self.layout.kind(path) for path in paths] if name != "training" else None,
            masks=self.masks(files, places, sizes) if is_test else None,
            files=[str(path) for path in paths],
            parents=parents if tiled else None,
        )

    def tile_ids(
        self,
        files: Sequence[Path],
        places: Sequence[int],
        sizes: Sequence[tuple[int, int] | None],
    ) -> list[str]:
        """Return the ids of all tiles: that of the photograph, and where in it the tile begins."""
        return [
            f"{self.layout.id(files[place])}#x{left:.0f}y{top:.0f}"
            for place in dict.fromkeys(places)
            for left, top, _, _ in self.preparation.boxes(*(sizes[place] or (0, 0)), files[place])
        ]

    def counts(self, files: Sequence[Path]) -> list[int]:
        """Return how many images each file gives: as its header says, where there are tiles."""
        if self.options.tiles is None:
            return [1] * len(files)
        counts = []
        with ThreadPoolExecutor(self.workers()) as pool:
            for path, size in zip(files, pool.map(header_size, files), strict=True):
                counts.append(1 if size is None else self.preparation.count(*size, path))
                self.largest = max(self.largest, 0 if size is None else size[0] * size[1])
        return counts

    def workers(self) -> int:
        """Return how many files to decode at once, so that they fit into memory."""
        fitting = AT_ONCE // (BYTES_PER_PIXEL * max(self.largest, 1))
        return max(1, min(16, (os.cpu_count() or 1) + 2, fitting))

    def decode(self, path: Path) -> tuple[Picture | None, str]:
        """Return the picture and "", or None and why it cannot be read."""
        return try_to_decode(
            path,
            self.options.white_level,
            partial(least, self.options),
            black_level=self.options.black_level,
        )

    def check_channels(self, picture: Picture, path: Path) -> None:
        """Raise DataError where files must agree in their channels and do not."""
        count = len(picture.pixels)
        if self.options.channels == "auto" and count != self.channels_in_file:
            raise DataError(
                f"images with different channels: {self.preparation.example} has "
                f"{self.channels_in_file}, {path} has {count}; set channels = 1 (grey) or "
                "channels = 3 (colour)"
            )

    def masks(
        self,
        files: Sequence[Path],
        places: Sequence[int],
        sizes: Sequence[tuple[int, int] | None],
    ) -> dict[int, Mask]:
        """Return the masks of the test images, by row, brought to size as their images were."""
        found = {}
        total = sum(map(len, self.layout.masks.values()))
        failures: list[tuple[Path, str]] = []
        resized: list[Path] = []
        for row, place in enumerate(places):
            size = sizes[place]
            if size is None or (row and places[row - 1] == place):
                continue
            marked = []
            for file in self.layout.masks.get(files[place], ()):
                mask, reason = try_to_decode_mask(file)
                if mask is None:
                    failures.append((file, reason))
                    continue
                if mask.shape != size:
                    resized.append(file)
                    mask = mask[np.ix_(*map(nearest_index, mask.shape, size))]
                marked.append(mask)
            if not marked:
                continue
            mask = np.logical_or.reduce(marked)
            for offset, part in enumerate(self.preparation.masks(mask, files[place])):
                found[row + offset] = part
        if failures:
            self.unread |= {self.layout.id(path): reason for path, reason in failures}
            self.notices.append(self.describe(failures, total, "mask"))
        self.notices += about_sizes([self.layout.id(path) for path in resized], total)
        return found

    def describe(self, failures: Sequence[tuple[Path, str]], total: int, name: str) -> str:
        """Return the sentence that tells which files could not be read, the first few by name."""
        named = [f"{self.layout.id(path)} ({reason})" for path, reason in failures[:NAMED]]
        more = f" and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
        what = "masks" if name == "mask" else f"{name} images"
        return f"{len(failures)} of {total} {what} could not be used: {', '.join(named)}{more}"
