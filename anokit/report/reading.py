"""What a run directory holds, read into typed values. Only results.json has to be there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from anokit.errors import CheckpointError
from anokit.results.before import Before
from anokit.results.rows import Results, Row
from anokit.store.score_table import Ranking, ScoreTable, read_ranking, read_scores

__all__ = ["LogEntry", "Results", "Row", "Run", "ScoreTable", "read_run"]

Array = npt.NDArray[Any]


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
class Run:
    """A run directory, read. What is missing is None or empty."""

    directory: Path
    results: Results
    recipe: str | None = None
    resolved: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    log: Sequence[LogEntry] = ()
    scores: ScoreTable | None = None
    ranking: Ranking | None = None
    """the training images that were scored, the most anomalous first"""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """the tensors of report.safetensors by name"""
    terms: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    """labels and weights of the terms of each weighted sum, by score name"""
    before: Before | None = None
    """the comparison with the run whose suspects this one leaves out"""
    samples: Sequence[Path] = ()
    """pictures of generated images, earliest first"""

    @property
    def labelled(self) -> bool:
        """Whether any score has metrics: what a reader came for is then their table."""
        return any(row.metrics for row in self.results.rows)

    def primary(self) -> tuple[ScoreTable, npt.NDArray[np.float64]] | None:
        """Return the table of scores and the primary score's column, or None if there is none."""
        if self.scores is None or self.results.primary not in self.scores.columns:
            return None
        return self.scores, self.scores.columns[self.results.primary]

    def row(self, name: str) -> Row | None:
        """Return the line of the results called ``name``, or None."""
        return self.results.row(name)


def read_run(directory: Path, results: Results | None = None) -> Run:
    """Read a run directory; ``results`` stand for a results.json that is not there yet.

    Raises
    ------
    CheckpointError
        Where results.json is missing or a file in the directory cannot be understood.
    """
    if results is None and not (directory / "results.json").is_file():
        raise CheckpointError(
            f"{directory}: expected a finished run with a results.json, found none. An interrupted "
            "run goes on with `anokit run RECIPE --resume`; then its report can be made."
        )
    table, ranking = directory / "scores.csv", directory / "training_scores.csv"
    try:
        return Run(
            directory=directory,
            results=results or Results.model_validate(_json(directory / "results.json")),
            recipe=_text(directory / "recipe.toml"),
            resolved=_json(directory / "resolved.json"),
            environment=_json(directory / "environment.json"),
            log=_log(directory / "metrics.jsonl"),
            scores=read_scores(table) if table.is_file() else None,
            ranking=read_ranking(ranking) if ranking.is_file() else None,
            arrays=_arrays(directory / "report.safetensors"),
            terms=_json(directory / "terms.json") or {},
            before=_before(directory / "before.json"),
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


def _before(path: Path) -> Before | None:
    content = _json(path)
    return None if content is None else Before.model_validate(content)


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


def _arrays(path: Path) -> Mapping[str, Array]:
    return load_file(path) if path.is_file() else {}
