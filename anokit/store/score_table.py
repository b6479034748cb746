"""scores.csv and other tables of scores: the one place where CSV is written and read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anokit.errors import CheckpointError

Column = npt.NDArray[np.float64]

OTHER_COLUMNS = ("id", "label", "kind")
"""Columns of scores.csv that are no scores."""


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
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name for name in reader.fieldnames or () if name not in OTHER_COLUMNS]
            rows = list(reader)
        return ScoreTable(
            ids=[row["id"] for row in rows],
            labels=np.array(
                [int(row["label"]) if row.get("label") else -1 for row in rows], np.int64
            ),
            kinds=[row.get("kind") or "" for row in rows],
            columns={
                name: np.array([float(row[name]) for row in rows], np.float64) for name in names
            },
        )
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None


def ranking_text(files: Sequence[str], columns: Mapping[str, Column], order: Iterable[int]) -> str:
    """Return scored files as CSV, in ``order``: the file and every score."""
    values = [_written(column) for column in columns.values()]
    return csv_text(
        ["image", *columns], ([files[row], *(one[row] for one in values)] for row in order)
    )


def csv_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a header and rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _written(column: Column) -> list[str]:
    """Return numbers as text that reads back to the same numbers."""
    return [repr(float(value)) for value in column]
