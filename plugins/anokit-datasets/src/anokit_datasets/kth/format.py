"""What lies where in a folder of tracked cell sequences, and its text files.

The format is the Cell Tracking Challenge's as the Baxter Algorithms (K. Magnusson, KTH) export it:
label images with a track text, and beside them ``deaths.txt``, ``dummy_tracks.txt`` and
``false_positives/``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anokit.errors import DataError, MissingDataError
from anokit_datasets.listing import natural_key

TREE = """expected, for every experiment (the root itself or folders in it),
  {root}/<sequence>/*.tif                                    frames
  {root}/Analysis/<sequence>_GT/TRA/man_trackNNN.tif         labels, with man_track.txt, deaths.txt,
                                                             false_positives/
  {root}/Analysis/CellData<version>/RES/<sequence>_RES/maskNNN.tif    labels as exported, instead"""

LABEL_FILE = re.compile(r"^(?:mask|man_track|man_seg)(\d+)\.tiff?$", re.IGNORECASE)
CHALLENGE_FRAME = re.compile(r"^t(\d+)\.tiff?$", re.IGNORECASE)
TRACK_TEXTS = ("res_track.txt", "man_track.txt")


@dataclass(frozen=True)
class Track:
    """One line of the track text."""

    start: int
    """first frame, from 0"""
    end: int
    """last frame"""
    parent: int
    """track that it came from by division or after a gap; 0 = none"""


@dataclass(frozen=True)
class Labels:
    """One folder of label images and its text files."""

    images: Mapping[int, Path]
    """label image by frame"""
    tracks: Mapping[int, Track]
    died: frozenset[int] = frozenset()
    """tracks that ended in the cell's death"""
    dummies: frozenset[int] = frozenset()
    """tracks to drop"""


@dataclass(frozen=True)
class CellSequence:
    """One image sequence with its labels."""

    name: str
    """path of the sequence below the root, POSIX"""
    frames: Mapping[int, Path]
    """frame image by number, from 0"""
    cells: Labels
    debris: Labels | None = None


@dataclass
class Found:
    """The sequences below a root."""

    sequences: list[CellSequence] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def find_sequences(root: Path, labels: str = "ground-truth", version: str | None = None) -> Found:
    """Find all sequences below ``root`` and read their text files; no image is opened.

    Raises
    ------
    MissingDataError
        Where no experiment is there.
    DataError
        Where no sequence has labels of the kind asked for, or a text file is malformed.
    """
    experiments = [root] if is_experiment(root) else []
    if not experiments and root.is_dir():
        experiments = sorted(path for path in root.iterdir() if is_experiment(path))
    if not experiments:
        raise MissingDataError(
            f"KTH-Cellvideos is not in {root}: "
            f"{'no experiment lies there' if root.is_dir() else 'no such folder'}; "
            f"{TREE.format(root=root)}"
        )
    found = Found()
    for experiment in experiments:
        for folder in sequence_folders(experiment):
            place = label_folder(experiment, folder.name, labels, version)
            name = folder.relative_to(root).as_posix()
            if place is None:
                found.notices.append(
                    f"{root}: sequence {name} has no {labels} labels and is left out"
                )
                continue
            debris = place / "false_positives"
            found.sequences.append(
                CellSequence(
                    name=name,
                    frames=frame_files(folder),
                    cells=read_labels(place),
                    debris=read_labels(debris) if debris.is_dir() else None,
                )
            )
    if not found.sequences:
        raise DataError(f"no sequence in {root} has {labels} labels; {TREE.format(root=root)}")
    return found


def is_experiment(folder: Path) -> bool:
    """Tell whether ``folder`` holds sequences and results, as exported or as in the challenge."""
    if not folder.is_dir():
        return False
    return (folder / "Analysis").is_dir() or any(folder.glob("*_GT"))


def sequence_folders(experiment: Path) -> list[Path]:
    """Return the folders of an experiment that hold tif frames themselves."""
    return sorted(
        folder
        for folder in experiment.iterdir()
        if folder.is_dir() and folder.name != "Analysis" and frame_files(folder)
    )


def label_folder(experiment: Path, sequence: str, labels: str, version: str | None) -> Path | None:
    """Return the folder of a sequence's label images, or None."""
    if labels == "ground-truth":
        places = [
            experiment / "Analysis" / f"{sequence}_GT" / "TRA",
            experiment / f"{sequence}_GT" / "TRA",
        ]
        return next((place for place in places if place.is_dir()), None)
    pattern = "CellData*" if version is None else f"CellData{version}"
    places = sorted((experiment / "Analysis").glob(f"{pattern}/RES/{sequence}_RES"))
    if len(places) > 1:
        versions = ", ".join(place.parent.parent.name.removeprefix("CellData") for place in places)
        raise DataError(
            f"{experiment}: sequence {sequence} was exported in several versions; set version to "
            f"one of: {versions}"
        )
    return places[0] if places else None


def frame_files(folder: Path) -> dict[int, Path]:
    """Return a sequence's frames by number.

    The number is a frame's place in natural order (``img2`` before ``img10``), except under the
    challenge's names ``tNNN.tif``, which say it.
    """
    files = sorted(tif_files(folder), key=lambda path: natural_key(path.name))
    numbered = {int(m[1]): path for path in files if (m := CHALLENGE_FRAME.match(path.name))}
    return numbered if len(numbered) == len(files) else dict(enumerate(files))


def read_labels(folder: Path) -> Labels:
    """Read the text files of one folder of label images."""
    images = {int(m[1]): path for path in tif_files(folder) if (m := LABEL_FILE.match(path.name))}
    if not images:
        raise DataError(f"{folder} holds no label image (man_trackNNN.tif or maskNNN.tif)")
    text = next((folder / name for name in TRACK_TEXTS if (folder / name).is_file()), None)
    if text is None:
        raise DataError(f"{folder} has neither {' nor '.join(TRACK_TEXTS)}")
    tracks = {row[0]: Track(*row[1:]) for row in read_numbers(text, 4, "track start end parent")}
    for number, track in tracks.items():
        if track.parent and track.parent not in tracks:
            raise DataError(
                f"{text}: track {number} has the parent {track.parent}, which is not listed"
            )
    died = read_numbers(folder / "deaths.txt", 2, "track 0|1")
    dummies = read_numbers(folder / "dummy_tracks.txt", 1, "track")
    return Labels(
        images=images,
        tracks=tracks,
        died=frozenset(row[0] for row in died if row[1] == 1),
        dummies=frozenset(row[0] for row in dummies),
    )


def read_numbers(path: Path, columns: int, meaning: str) -> Sequence[tuple[int, ...]]:
    """Read lines of at least ``columns`` whole numbers; a file that is not there has no line."""
    if not path.is_file():
        return []
    rows = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            row = tuple(int(word) for word in words[:columns])
        except ValueError:
            row = ()
        if len(row) < columns:
            raise DataError(f"{path}:{number}: expected whole numbers `{meaning}`, got {line!r}")
        rows.append(row)
    return rows


def tif_files(folder: Path) -> list[Path]:
    """Return the tif files that lie in ``folder`` itself."""
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".")
    ]
