"""Data sets of a few kilobytes, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Write an image of one grey or colour but for its last pixel, making folders on the way."""

    def write(
        path: Path, value: int | tuple[int, ...] = 100, size: tuple[int, int] = (8, 8)
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
        mode = modes[1 if isinstance(value, int) else len(value)]
        image = Image.new(mode, size, value)
        grey = value if isinstance(value, int) else value[0]
        other = grey + 5 if grey < 128 else grey - 5  # one grey level would raise a question
        if value:
            last = other if mode == "L" else (other,) * len(mode)
            image.putpixel((size[0] - 1, size[1] - 1), last)
        image.save(path)
        return path

    return write


@pytest.fixture
def write_sequence() -> Callable[..., Path]:
    """Write one tracked sequence: squares of 4×4 pixels whose grey value tells the track."""

    def write(
        experiment: Path,
        name: str,
        cells: Mapping[int, tuple[int, int]],
        debris: Mapping[int, tuple[int, int]] | None = None,
        *,
        frames: int = 3,
        parents: Mapping[int, int] | None = None,
        dtype: type = np.uint8,
        labels: Path | None = None,
        shape: tuple[int, int] = (40, 48),
    ) -> Path:
        place = labels or experiment / "Analysis" / f"{name}_GT" / "TRA"
        (experiment / name).mkdir(parents=True, exist_ok=True)
        stem = "mask" if labels else "man_track"
        text = "res_track.txt" if labels else "man_track.txt"
        sides = [(place, cells)]
        if debris:
            sides.append((place / "false_positives", debris))
        for folder, objects in sides:
            folder.mkdir(parents=True, exist_ok=True)
            lines = [
                f"{track} 0 {frames - 1} {(parents or {}).get(track, 0)}\n" for track in objects
            ]
            (folder / text).write_text("".join(lines))
        for frame in range(frames):
            picture = np.full(shape, 20, dtype)
            for folder, objects in sides:
                label = np.zeros(shape, np.uint16)
                for track, (row, column) in objects.items():
                    window = np.s_[row - 2 : row + 3, column - 2 : column + 3]
                    label[window] = track
                    picture[window] = 50 + 10 * track + (100 if folder != place else 0)
                tifffile.imwrite(folder / f"{stem}{frame:03d}.tif", label, compression="lzw")
            tifffile.imwrite(experiment / name / f"img_{frame + 1}.tif", picture)
        return place

    return write
