"""Maps painted on files piece by piece, as the pieces are scored, so that a kill loses one at most.

The pictures of a piece lie in a folder beside it, named for the places of their files. What ranks
they have is known once all are scored: the gallery then takes them up under further names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from anokit.report.originals import LONGEST, levels_of, said
from anokit.report.overlays import check_heat
from anokit.report.pictures import Made, make_pictures
from anokit.runs.finished import FinishedRun
from anokit.runs.painting import drawn_by
from anokit.runs.pieces import PieceJob, read_head
from anokit.store.files import make_folder, writing

RECORD = "made.jsonl"
"""In the folder of a piece, once all of it is painted: the piece's key, then the pictures."""

Record = tuple[str, Made]
"""A file's name and its pictures."""


class PiecePainter:
    """Paints a score's map on every file of a piece; where it has none, files alone.

    Parameters
    ----------
    score
        Name of the score; empty for the primary one.
    """

    def __init__(self, run: FinishedRun, score: str = "") -> None:
        self.run = run
        self.name = score or run.recipe.primary.name
        drawn = next(one for one in run.recipe.scores if one.name == self.name)
        row = run.results.row(self.name)
        self.scale = row.map_scale if row else None
        self.draw = drawn_by(run.scorer, drawn, run.files)
        self._levels = levels_of(run.recipe.dataset.options)

    def paint(self, job: PieceJob) -> None:
        """Paint the files of a piece that was scored, unless that was done for the same files.

        Raises
        ------
        CheckpointError
            Where a picture cannot be written.
        """
        head, folder = read_head(job.path), self._folder_of(job.path)
        if head is None or _key_of(folder) == head.key:
            return
        make_folder(folder)
        bad = {name for name, _ in head.left_out}
        with writing(folder / RECORD) as file:
            file.write(json.dumps(head.key) + "\n")
            for place, name in enumerate(job.files(), start=job.start):
                if name not in bad:
                    made = self._made(folder, f"{place:08d}", Path(job.seen_from, name))
                    file.write(json.dumps([name, asdict(made)]) + "\n")

    def made(self, paths: Sequence[Path]) -> dict[str, tuple[Made, Path]]:
        """Return the pictures of all files of pieces by name, and the folder that they lie in."""
        found = {}
        for folder in map(self._folder_of, paths):
            for name, made in _records(folder):
                found[name] = made, folder
        return found

    def _folder_of(self, piece: Path) -> Path:
        return piece.with_suffix(f".{self.name}.pictures")

    def _made(self, folder: Path, name: str, path: Path) -> Made:
        heat = None if self.scale is None else self.draw(path)
        if heat is not None:
            check_heat(heat, said(path))
        made, _ = make_pictures(folder, name, path, heat, self.scale, LONGEST, self._levels)
        return made


def _key_of(folder: Path) -> str | None:
    """Return the key of the piece whose pictures a folder holds; None where they are not whole."""
    try:
        with (folder / RECORD).open(encoding="ascii") as file:
            key = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return key if isinstance(key, str) else None


def _records(folder: Path) -> Iterator[Record]:
    with (folder / RECORD).open(encoding="ascii") as file:
        file.readline()
        for line in file:
            name, made = json.loads(line)
            yield name, Made(**made)
