"""Images that a CSV table lists, each with what is known of it.

One row an image. Columns, in any order and case: ``path`` (relative to the table's folder), and
optionally ``label`` (0 or normal, 1 or anomalous), ``mask`` (a file), ``split`` (train, test or
contaminants) and ``kind`` (a word). Commas, semicolons or tabs part them, as their headers show.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anokit.data import expand, seeded_order
from anokit.errors import DataError, MissingDataError
from anokit_datasets.folder import FolderReader
from anokit_datasets.folder_names import DEFECT_FOLDERS, HELD_OUT, NORMAL_FOLDERS
from anokit_datasets.layout import Layout
from anokit_datasets.picture_options import CsvManifestOptions
from anokit_datasets.source import Source

COLUMNS = ("path", "label", "mask", "split", "kind")
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("contaminants", "contaminant"), "contaminants"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
LABELS = {
    **dict.fromkeys(("0", "0.0", *NORMAL_FOLDERS), 0),
    **dict.fromkeys(("1", "1.0", *DEFECT_FOLDERS), 1),
}
EXPECTED = (
    "expected a CSV file in UTF-8 whose first line names its columns: path and, optionally, label "
    "(0 or 1), mask, split (train, test, contaminants) and kind"
)


def csv_manifest(options: CsvManifestOptions) -> Source:
    """Return the images of ``options.manifest``; ids are paths as they are listed.

    Rows whose file cannot be read are left out and told in a notice, as by `image_folder`, whose
    reader decodes them: the files of the rows that are chosen, and no others.

    Raises
    ------
    MissingDataError
        Where the table is missing.
    DataError
        Where it cannot be read, a row contradicts itself or another one, or as `image_folder` does.
    """
    layout = read_manifest(expand(options.manifest), options.draw_seed)
    return FolderReader(options, layout, "manifest").read()


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    line: int
    path: Path
    label: int | None
    mask: Path | None
    split: str
    """train, test, contaminants, validation; empty where the table has no such column"""
    kind: str


@dataclass(frozen=True)
class Listed(Layout):
    """The files of a table."""

    rows: Mapping[Path, Row] = field(default_factory=dict)

    def kind(self, path: Path) -> str:
        """Return the kind of a row, or its label in words."""
        row = self.rows[path]
        if row.kind or row.label is None:
            return row.kind
        return "anomalous" if row.label else "normal"

    def label(self, path: Path) -> int:
        """Return the label of a row; 0 where it has none."""
        return self.rows[path].label or 0

    def labels(self, paths: Sequence[Path]) -> list[int] | None:
        """Return the labels of test images; None where they have none."""
        found = [self.rows[path].label for path in paths]
        return None if None in found else [label or 0 for label in found]


def read_manifest(path: Path, seed: int) -> Listed:
    """Return what a table lists, without opening an image.

    Without a column ``split``, rows that are normal or without a label are for training and
    anomalous ones for testing, beside one in `HELD_OUT` of the normal ones, drawn by ``seed``.

    Raises
    ------
    MissingDataError
        Where there is no table.
    DataError
        Where it cannot be read, or a row contradicts itself or another one.
    """
    notices: list[str] = []
    rows: dict[Path, Row] = {}
    lines: dict[str, int] = {}
    for row in read_rows(path, notices):
        before = lines.setdefault(os.path.realpath(row.path), row.line)
        if before != row.line:
            raise DataError(
                f"{path}: lines {before} and {row.line} both list {row.path}; expected every file "
                "once; remove one"
            )
        rows[row.path] = row
    if not rows:
        raise DataError(f"{path}: lists no image; {EXPECTED}")
    splits = placed(path, list(rows.values()), seed, notices)
    if not splits["train"]:
        raise DataError(f"{path}: no row is for training; expected split = train in one at least")
    tested = [row for row in splits["test"] if row.label is not None]
    if tested and len(tested) < len(splits["test"]):
        bare = next(row for row in splits["test"] if row.label is None)
        raise DataError(
            f"{path}: line {bare.line}: no label, and other test images have one; give it 0 or 1, "
            "or remove the row"
        )
    if left := len(splits["validation"]):
        notices.append(f"{path}: {left:,} rows of the validation split are not used")
    return Listed(
        root=path.parent,
        train=[row.path for row in splits["train"]],
        contaminants=[row.path for row in splits["contaminants"]],
        test=[row.path for row in splits["test"]],
        masks={row.path: [row.mask] for row in splits["test"] if row.mask},
        notices=notices,
        where=str(path),
        rows=rows,
    )


def placed(
    path: Path, rows: Sequence[Row], seed: int, notices: list[str]
) -> dict[str, Sequence[Row]]:
    """Return the rows of every split."""
    if any(row.split for row in rows):
        return {
            name: [row for row in rows if row.split == name] for name in {*SPLITS.values(), "train"}
        }
    anomalous = [row for row in rows if row.label == 1]
    normal = [row for row in rows if row.label == 0]
    out = len(normal) // HELD_OUT if anomalous else 0
    held = {normal[place].path for place in seeded_order(len(normal), seed, "manifest")[:out]}
    train = [row for row in rows if row.label != 1 and row.path not in held]
    test = [row for row in rows if row.label == 1 or row.path in held]
    text = f"{path} has no column split: {len(train):,} rows are taken for training"
    if test:
        text += f", {out:,} normal and {len(anomalous):,} anomalous ones for testing"
    notices.append(text)
    return {"train": train, "test": test, "contaminants": [], "validation": []}


def read_rows(path: Path, notices: list[str]) -> list[Row]:
    """Return the rows of a table; note columns that are not used."""
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise MissingDataError(f"manifest {path} {problem}; {EXPECTED}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=parted_by(first), strict=True)
            header = [cell.strip().lower() for cell in next(reader, [])]
            check_header(path, header)
            if unused := [name for name in header if name and name not in COLUMNS]:
                notices.append(f"{path}: columns that are not used: {', '.join(unused)}")
            found = [
                read_row(path, reader.line_num, header, cells)
                for cells in reader
                if any(cell.strip() for cell in cells)
            ]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is no UTF-8 ({error.reason}); save it anew, in Excel as 'CSV UTF-8'"
        ) from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; {EXPECTED}") from None
    return found


def parted_by(header: str) -> str:
    """Return what parts the cells of a table: Excel writes semicolons in many languages."""
    return max(",;\t", key=header.count)


def check_header(path: Path, header: Sequence[str]) -> None:
    """Raise DataError where a table has no column path, or one of its columns twice."""
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if "path" not in header or twice:
        problem = f"column {twice[0]} twice" if twice else "no column path"
        raise DataError(f"{path}: {problem}, got {', '.join(header) or 'nothing'}; {EXPECTED}")


def read_row(table: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    """Return one row; raise DataError where it cannot be understood."""
    where = f"{table}: line {line}"
    if len(cells) != len(header):
        raise DataError(
            f"{where}: {len(cells)} cells, expected {len(header)}; put names that hold a comma "
            "into quotes"
        )
    given = dict(zip(header, cells, strict=True))
    words = {name: given.get(name, "").strip() for name in COLUMNS}
    if not words["path"]:
        raise DataError(f"{where}: no path; fill it in, or remove the row")
    label = LABELS.get(words["label"].lower()) if words["label"] else None
    if words["label"] and label is None:
        raise DataError(
            f"{where}: label = {words['label']!r}; expected 0 or normal, 1 or anomalous, or "
            "nothing; what it shows belongs into the column kind"
        )
    split = SPLITS.get(words["split"].lower(), "")
    if "split" in header and not split:
        raise DataError(
            f"{where}: split = {words['split']!r}; expected train, test or contaminants"
        )
    if (label, split) in ((1, "train"), (0, "contaminants")):
        raise DataError(
            f"{where}: split = {split} with label = {label}; training images are taken as normal "
            "and contaminants as anomalous, so correct one of them"
        )
    mask = beside(table, words["mask"]) if words["mask"] else None
    return Row(line, beside(table, given["path"]), label, mask, split, words["kind"])


def beside(table: Path, name: str) -> Path:
    """Return the file that a cell names, relative to the table; backslashes as Windows has them."""
    names = dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/")))
    paths = [table.parent / expand(one) for one in names]
    return next((path for path in paths if path.exists()), paths[0])
