"""What a run directory holds, read into typed values. Only results.json has to be there."""

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
from anokit.results.rows import Results, Row, read_results
from anokit.store.documents import damaged, no_run, read_document, read_object, read_text, there
from anokit.store.records import Terms
from anokit.store.run_directory import RunDirectory
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
    lost_lines: int = 0
    """lines of metrics.jsonl that cannot be read"""
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

    def maps(self, kind: str) -> dict[str, Array]:
        """Return maps ``[n, H, W]`` of a gallery's images by score, the primary one's first.

        Scores whose maps differ in scale alone, as a sum's of one term with a map, stand together
        under their names with commas between. ``kind`` is `anokit.store.records.GALLERY_MAP` or
        ``TRAIN_MAP``.
        """
        names = dict.fromkeys([self.results.primary, *(row.name for row in self.results.rows)])
        found = {name: self.arrays.get(f"{kind}/{name}") for name in names}
        if found[self.results.primary] is None:  # of a run that was made before others had maps
            found[self.results.primary] = self.arrays.get(kind)
        alike: list[tuple[list[str], Array, Array]] = []
        for name, maps in found.items():
            if maps is None or not maps.size:
                continue
            scaled = _scaled(maps)
            same = next((names for names, _, one in alike if _alike(scaled, one)), [])
            if not same:
                alike.append((same, maps, scaled))
            same.append(name)
        return {", ".join(names): maps for names, maps, _ in alike}

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
    if results is None:
        RunDirectory(directory).check_finished()
        if not (directory / "results.json").is_file():
            raise CheckpointError(no_run(directory / "results.json"))
        results = read_results(RunDirectory(directory))
    table, ranking = directory / "scores.csv", directory / "training_scores.csv"
    terms = directory / "terms.json"
    before = directory / "before.json"
    log, lost = _log(directory / "metrics.jsonl")
    return Run(
        directory=directory,
        results=results,
        recipe=_text(directory / "recipe.toml"),
        resolved=_object(directory / "resolved.json"),
        environment=_object(directory / "environment.json"),
        log=log,
        lost_lines=lost,
        scores=read_scores(table) if there(table) else None,
        ranking=read_ranking(ranking) if there(ranking) else None,
        arrays=_arrays(directory / "report.safetensors"),
        terms=read_document(terms, Terms).root if there(terms) else {},
        before=read_document(before, Before) if there(before) else None,
        samples=sorted((directory / "samples").glob("*.png")),
    )


def _scaled(maps: Array) -> Array:
    """Return maps from 0 at the smallest of their values to 1 at the largest."""
    low, high = float(maps.min()), float(maps.max())
    return (maps - low) / ((high - low) or 1.0)


def _alike(one: Array, other: Array) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=0, atol=1e-4)


def _text(path: Path) -> str | None:
    return read_text(path) if there(path) else None


def _object(path: Path) -> dict[str, Any] | None:
    return read_object(path) if there(path) else None


def _log(path: Path) -> tuple[list[LogEntry], int]:
    """Return the lines of a log that can be read, and how many cannot: no report needs them all."""
    entries, lost = [], 0
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return [], 1
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(LogEntry.model_validate_json(line))
        except ValidationError:
            lost += number < len(lines)  # a run that was killed may leave half a line at the end
    return entries, lost


def _arrays(path: Path) -> Mapping[str, Array]:
    try:
        return load_file(path) if there(path) else {}
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise damaged(path, f"no whole safetensors file ({error})") from None
