"""scores.csv and other tables of scores: the one place where CSV is written and read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.errors import CheckpointError

Column = npt.NDArray[np.float64]

OTHER_COLUMNS = ("id", "label", "kind")
"""Columns of scores.csv that are no scores."""

JUDGEMENT = ("flagged", "p_value", "threshold")
"""What stands of every score beside its values in a ranking."""


_FORMULA = re.compile(r"(\./)*[=+\-@\t\r]")
"""How a cell begins that is taken for a formula, or was one before `safe`."""


@dataclass(frozen=True)
class ScoreTable:
    """scores.csv: every test image with every score."""

    ids: Sequence[str]
    labels: npt.NDArray[np.int64]
    """``[N]``: 0 normal, 1 anomalous, −1 unlabelled"""
    kinds: Sequence[str]
    """what each image shows; empty where the dataset does not tell"""
    columns: Mapping[str, Column]
    """by score name, ``[N]``"""

    @property
    def two_classes(self) -> bool:
        """Whether normal and anomalous images are both there, so that metrics mean something."""
        return {0, 1} <= set(self.labels.tolist())

    def with_columns(self, columns: Mapping[str, Column]) -> ScoreTable:
        """Return the same images with further scores, or with other values of the same name."""
        return replace(self, columns={**self.columns, **columns})

    def text(self) -> str:
        """Return the content of scores.csv; `read_scores` gives back what went in, bit for bit."""
        labels = ["" if label < 0 else str(label) for label in self.labels]
        cells = zip(
            self.ids, labels, self.kinds, *map(_written, self.columns.values()), strict=True
        )
        return csv_text([*OTHER_COLUMNS, *self.columns], cells)


def read_scores(path: Path) -> ScoreTable:
    """Read a file that `ScoreTable.text` made.

    Raises
    ------
    CheckpointError
        Where it is missing or damaged.
    """
    try:
        head, rows = _read_csv(path, "id")
        names = [name for name in head if name not in OTHER_COLUMNS]
        return ScoreTable(
            ids=[_unsafe(row["id"]) for row in rows],
            labels=np.array(
                [int(row["label"]) if row.get("label") else -1 for row in rows], np.int64
            ),
            kinds=[_unsafe(row.get("kind") or "") for row in rows],
            columns={name: _read(rows, name) for name in names},
        )
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None


@dataclass(frozen=True)
class Judged:
    """How one score judges images."""

    flagged: npt.NDArray[np.bool_]
    """``[N]``: whether the threshold is exceeded"""
    p_values: Column
    """``[N]``: how likely a normal image is to score as high, in (0, 1]"""
    threshold: float


@dataclass(frozen=True)
class Ranking:
    """Images with every score and every score's judgement; training_scores.csv is one."""

    images: Sequence[str]
    """N files, or ids where images are no files"""
    columns: Mapping[str, Column]
    """by score name, ``[N]``; the first is the primary one"""
    judged: Mapping[str, Judged]
    """by score name"""

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Return the places of the images, the most anomalous by the primary score first."""
        return np.argsort(-next(iter(self.columns.values())), kind="stable")

    def among(self, names: Collection[str]) -> npt.NDArray[np.bool_]:
        """Return which images have one of these names: ``[N]``; all of them where none is named."""
        known = frozenset(names)
        return np.array([not known or image in known for image in self.images], dtype=bool)

    def flagged(self) -> dict[str, int]:
        """Return how many images each score flags, by its name."""
        return {name: int(judged.flagged.sum()) for name, judged in self.judged.items()}

    def by(self, name: str = "") -> Ranking:
        """Return the same images with one score alone, by default the primary one."""
        name = name or next(iter(self.columns))
        return Ranking(self.images, {name: self.columns[name]}, {name: self.judged[name]})

    def with_columns(self, other: Ranking) -> Ranking:
        """Return the same images with the scores of ``other`` too, which has them in another order.

        Raises
        ------
        CheckpointError
            Where the images differ.
        """
        place = {image: row for row, image in enumerate(other.images)}
        if set(place) != set(self.images):
            raise CheckpointError(
                "training_scores.csv: damaged: its images are not those of the training set"
            )
        rows = np.array([place[image] for image in self.images], dtype=np.int64)
        columns = {name: column[rows] for name, column in other.columns.items()}
        judged = {
            name: Judged(one.flagged[rows], one.p_values[rows], one.threshold)
            for name, one in other.judged.items()
        }
        return Ranking(self.images, {**self.columns, **columns}, {**self.judged, **judged})

    def text(self) -> str:
        """Return it as CSV, most anomalous first.

        ``image``, ``rank``, then ``flagged``, ``p_value`` and ``threshold`` of the primary score,
        then every score's values; then those three of every further score, as ``NAME:flagged``, ….
        """
        order = self.order
        return csv_text(self.head(), self.rows(order))

    def head(self) -> list[str]:
        """Return the names of the columns of its CSV."""
        primary, *others = self.columns
        judged = (f"{name}:{column}" for name in others for column in JUDGEMENT)
        return ["image", "rank", *JUDGEMENT, primary, *others, *judged]

    def rows(self, order: npt.NDArray[np.int64], first: int = 1) -> Iterator[Sequence[str]]:
        """Yield the rows of its CSV in an order, ranked from ``first`` on."""
        primary, *others = self.columns
        cells: list[Sequence[str]] = [
            [self.images[row] for row in order],
            [str(rank) for rank in range(first, first + len(order))],
            *self._judgement(primary, order),
            *(_written(column[order]) for column in self.columns.values()),
        ]
        for name in others:
            cells += self._judgement(name, order)
        return zip(*cells, strict=True)

    def _judgement(self, name: str, order: npt.NDArray[np.int64]) -> list[Sequence[str]]:
        judged = self.judged[name]
        return [
            judged.flagged[order].astype(int).astype(str).tolist(),
            _written(judged.p_values[order]),
            [repr(judged.threshold)] * len(order),
        ]


def read_ranking(path: Path) -> Ranking:
    """Read a file that `Ranking.text` made, in the order of the file.

    Raises
    ------
    CheckpointError
        Where it is missing or damaged.
    """
    try:
        head, rows = _read_csv(path, "image")
        own = {"image", "rank", *JUDGEMENT}
        names = [n for n in head if n not in own and n.rpartition(":")[2] not in JUDGEMENT]
        return Ranking(
            images=[_unsafe(row["image"]) for row in rows],
            columns={name: _read(rows, name) for name in names},
            judged={
                name: Judged(
                    flagged=_read(rows, f"{prefix}flagged") > 0,
                    p_values=_read(rows, f"{prefix}p_value"),
                    threshold=float(rows[0][f"{prefix}threshold"]),
                )
                for name, prefix in zip(names, ["", *(f"{n}:" for n in names[1:])], strict=True)
            },
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError, csv.Error) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None


def _read_csv(path: Path, first: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header, which begins with a column's name, and the rows of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
        head = list(reader.fieldnames or ())
        if head[:1] != [first]:
            raise ValueError(f"its first column is not {first!r}")
        return head, rows


def _read(rows: Sequence[Mapping[str, str]], name: str) -> Column:
    return np.array([float(row[name]) for row in rows], np.float64)


def csv_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a header and rows as CSV, with cells as `safe` has them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows(safe_rows([head, *rows]))
    return text.getvalue()


def safe_rows(rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Yield rows of text and numbers with cells as `safe` has them."""
    return ([safe(cell) for cell in row] for row in rows)


def safe(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; `_unsafe` gives back what went in.

    Text that begins like one gets ``./`` before it: of a relative path it is still the same file.
    """
    return f"./{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def _unsafe(cell: str) -> str:
    return cell[2:] if cell.startswith("./") and _FORMULA.match(cell[2:]) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _written(column: Column) -> list[str]:
    """Return numbers as text that reads back to the same numbers."""
    return [repr(float(value)) for value in column]
