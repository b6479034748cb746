"""Writes a simulated sequence as the Baxter Algorithms export a real one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from anokit_datasets.simulation.sequence import Frame, Tracks


class SequenceWriter:
    """Writes frames, label images and track texts of one sequence.

    Parameters
    ----------
    experiment
        folder that is to hold the sequence and its ``Analysis``.
    name
        of the sequence.
    frames
        how many there will be; it decides how many digits the file names have, three at least.
    """

    def __init__(self, experiment: Path, name: str, frames: int) -> None:
        self.digits = max(3, len(str(frames - 1)))
        self.pictures = experiment / name
        truth = experiment / "Analysis" / f"{name}_GT"
        self.tracking = truth / "TRA"
        self.segmentation = truth / "SEG"
        self.debris = self.tracking / "false_positives"
        for folder in (self.pictures, self.segmentation, self.debris):
            folder.mkdir(parents=True)

    def write_frame(self, number: int, frame: Frame) -> None:
        """Write frame ``number`` (from 0) and its three label images.

        Frames are not compressed: their noise would cost more time than it saves room.
        """
        digits = f"{number:0{self.digits}d}"
        write_tif(self.pictures / f"t{digits}.tif", frame.picture, compression=None)
        write_tif(self.tracking / f"man_track{digits}.tif", frame.cells)
        shutil.copyfile(
            self.tracking / f"man_track{digits}.tif", self.segmentation / f"man_seg{digits}.tif"
        )
        write_tif(self.debris / f"man_track{digits}.tif", frame.debris)

    def write_tracks(self, cells: Tracks, debris: Tracks) -> None:
        """Write ``man_track.txt`` of cells and debris, and ``deaths.txt``."""
        for folder, tracks in ((self.tracking, cells), (self.debris, debris)):
            lines = [
                f"{track} {start} {end} {parent}\n"
                for track, (start, end, parent) in sorted(tracks.lines.items())
            ]
            (folder / "man_track.txt").write_text("".join(lines), "utf-8")
        deaths = [f"{track} {int(track in cells.died)}\n" for track in sorted(cells.lines)]
        (self.tracking / "deaths.txt").write_text("".join(deaths), "utf-8")


def write_tif(
    path: Path, image: npt.NDArray[np.unsignedinteger], compression: str | None = "lzw"
) -> None:
    """Write a grey image ``[H, W]`` as a tif."""
    tifffile.imwrite(path, image, photometric="minisblack", compression=compression, metadata=None)
