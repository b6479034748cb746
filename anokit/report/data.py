"""What a run directory holds, read into typed values. Only results.json has to be there."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from anokit.errors import CheckpointError
from anokit.evaluation import Estimate

__all__ = ["LogEntry", "Results", "Row", "Run", "ScoreTable", "read_run"]

Array = npt.NDArray[Any]


class Row(BaseModel):
    """One line of results.json: a score of the recipe or a baseline."""

    name: str
    kind: Literal["score", "baseline"] = "score"
    selection: str = "none"
    """what was chosen by looking at test labels; ``none`` where nothing was"""
    batch: str | None = None
    """how the score depends on the other images of its batch; empty where it does not"""
    added: str = ""
    """when and how the score was added to a finished run; empty where it is the run's own"""
    threshold: float | None = None
    metrics: dict[str, Estimate | None] | None = None
    """by name: auroc, ap, fpr95, f1, f1_max; None where the test set has one class or none"""
    pixel: dict[str, Estimate | None] | None = None
    """by name: auroc, aupro; None without maps or masks"""
    by_kind: dict[str, float | None] | None = None
    """AUROC of each kind of anomaly against all normal images"""
    published: float | None = None
    ms_per_image: float | None = None
    note: str | None = None

    def metric(self, name: str) -> Estimate | None:
        """Return the image-level metric called ``name``, or None if it was not measured."""
        return (self.metrics or {}).get(name)


class Results(BaseModel):
    """results.json. Keys that this version does not know are left aside."""

    title: str = "Untitled run"
    recipe: str = ""
    seed: int | None = None
    quick: bool = False
    data: Literal["real", "simulated"] = "real"
    protocol: str = ""
    contamination: float = 0.0
    primary: str = ""
    notices: list[str] = []
    warnings: list[str] = []
    selection: dict[str, str] = {}
    train_images: int | None = None
    contaminants: int = 0
    test_normal: int = 0
    test_anomalous: int = 0
    published_source: str | None = None
    rows: list[Row] = []

    @property
    def prints_published(self) -> bool:
        """Whether published figures may stand beside these: a full run on real data has some."""
        return (
            self.data == "real"
            and not self.quick
            and bool(self.published_source)
            and any(row.published is not None for row in self.rows)
        )


class LogEntry(BaseModel):
    """One line of metrics.jsonl."""

    phase: str
    resolution: int | None = None
    images: int
    """training images shown so far, all phases together"""
    step: int = 0
    seconds: float = 0.0
    images_per_second: float | None = None
    metrics: dict[str, float | None] = {}


@dataclass(frozen=True)
class ScoreTable:
    """scores.csv: every test image with every score."""

    ids: Sequence[str]
    labels: npt.NDArray[np.int64]
    """``[N]``: 0 normal, 1 anomalous, −1 unlabelled"""
    kinds: Sequence[str]
    columns: Mapping[str, npt.NDArray[np.float64]]
    """by score name, ``[N]``"""

    @property
    def two_classes(self) -> bool:
        """Whether normal and anomalous images are both there, so that metrics mean something."""
        return {0, 1} <= set(self.labels.tolist())


@dataclass(frozen=True)
class Run:
    """A run directory, read. What is missing is None or empty."""

    directory: Path
    results: Results
    recipe: str | None = None
    resolved: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    log: Sequence[LogEntry] = ()
    scores: ScoreTable | None = None
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """the tensors of report.safetensors by name"""
    terms: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    """labels and weights of the terms of each weighted sum, by score name"""
    samples: Sequence[Path] = ()
    """pictures of generated images, earliest first"""

    def primary(self) -> tuple[ScoreTable, npt.NDArray[np.float64]] | None:
        """Return the table of scores and the primary score's column, or None if there is none."""
        if self.scores is None or self.results.primary not in self.scores.columns:
            return None
        return self.scores, self.scores.columns[self.results.primary]

    def row(self, name: str) -> Row | None:
        """Return the line of the results called ``name``, or None."""
        return next((row for row in self.results.rows if row.name == name), None)


def read_run(directory: Path) -> Run:
    """Read a run directory.

    Raises
    ------
    CheckpointError
        Where results.json is missing or a file in the directory cannot be understood.
    """
    if not (directory / "results.json").is_file():
        raise CheckpointError(
            f"{directory}: expected a finished run with a results.json, found none. An interrupted "
            "run goes on with `anokit run RECIPE --resume`; then its report can be made."
        )
    try:
        return Run(
            directory=directory,
            results=Results.model_validate(_json(directory / "results.json")),
            recipe=_text(directory / "recipe.toml"),
            resolved=_json(directory / "resolved.json"),
            environment=_json(directory / "environment.json"),
            log=_log(directory / "metrics.jsonl"),
            scores=_scores(directory / "scores.csv"),
            arrays=_arrays(directory / "report.safetensors"),
            terms=_json(directory / "terms.json") or {},
            samples=sorted((directory / "samples").glob("*.png")),
        )
    except (ValidationError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f"{directory}: a file of this run cannot be understood, so it gets no report. It may "
            f"have been cut short or edited: {error}"
        ) from error


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _json(path: Path) -> Any:
    text = _text(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _log(path: Path) -> list[LogEntry]:
    lines = (_text(path) or "").splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(LogEntry.model_validate_json(line))
        except ValidationError:
            # A run that was killed may leave half a line at the end, nowhere else.
            if number < len(lines):
                raise
    return entries


def _scores(path: Path) -> ScoreTable | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names = [n for n in reader.fieldnames or () if n not in ("id", "label", "kind")]
        rows = list(reader)
    return ScoreTable(
        ids=[row["id"] for row in rows],
        labels=np.array([int(row["label"]) if row.get("label") else -1 for row in rows], np.int64),
        kinds=[row.get("kind") or "" for row in rows],
        columns={
            name: np.array([float(row[name] or "nan") for row in rows], np.float64)
            for name in names
        },
    )


def _arrays(path: Path) -> Mapping[str, Array]:
    return load_file(path) if path.is_file() else {}
