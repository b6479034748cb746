"""Finished runs as comparisons and tables read them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anokit.errors import CheckpointError, UsageError
from anokit.results.differences import Scores
from anokit.results.rows import Results, Row, read_results
from anokit.runs.trust import used_plugins
from anokit.store.records import Split
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import ScoreTable

APART = ("seed", "title", "requires", "published", "baselines")
"""Tables of a resolved recipe in which runs of one system may differ."""

WAYS = 3
"""Ways to choose an epoch or a threshold that are told in words."""


@dataclass(frozen=True)
class GatheredRun:
    """A finished run."""

    path: Path
    results: Results
    resolved: dict[str, Any]
    split: Split

    @cached_property
    def table(self) -> ScoreTable | None:
        """Return its test images with all scores; None where it had no test set."""
        directory = RunDirectory(self.path)
        return directory.read_scores() if directory.table.exists() else None

    def scored(self, name: str | None = None) -> ScoredRun:
        """Return one of its scores, the primary one where ``name`` is None.

        Raises
        ------
        UsageError
            Where there is no such score, or no labels of both classes.
        """
        score, table = name or self.results.primary, self.table
        if table is None:
            raise UsageError(f"{self.path}: has no scores.csv, since the run had no test set")
        if score not in table.columns:
            there = ", ".join(table.columns) or "none"
            raise UsageError(f"{self.path}: has no score {score!r}; there are: {there}")
        if not table.two_classes:
            raise UsageError(
                f"{self.path}: has no labels of both classes, so there is nothing to compare"
            )
        known = table.labels >= 0
        ids = tuple(one for one, keep in zip(table.ids, known, strict=True) if keep)
        column = table.columns[score][known]
        found = Scores(self.results.seed, ids, table.labels[known], column)
        return ScoredRun(self, score, found)


@dataclass(frozen=True)
class ScoredRun:
    """One score of a finished run."""

    run: GatheredRun
    score: str
    scores: Scores

    @property
    def path(self) -> Path:
        """Return the run's directory."""
        return self.run.path

    @property
    def results(self) -> Results:
        """Return all results of the run."""
        return self.run.results

    @property
    def row(self) -> Row | None:
        """Return its line of results.json."""
        return self.results.row(self.score)

    @property
    def stands_alone(self) -> bool:
        """Whether it is a baseline, which does not depend on the system beside it."""
        return bool(self._own("baselines")) and self.row is not None and self.row.kind == "baseline"

    @property
    def key(self) -> str:
        """Return what runs of one system share: all that decides the score but the seed.

        That is the recipe without its other scores; of a baseline the dataset and itself.
        """
        content = {key: value for key, value in self.run.resolved.items() if key not in APART}
        content["scores"] = self._own("scores")
        if self.stands_alone:
            content = {"dataset": content.get("dataset"), "baselines": self._own("baselines")}
        return json.dumps([content, self.score], sort_keys=True)

    def _own(self, table: str) -> list[Any]:
        """Return the score's own entry of a table of the resolved recipe, if it is there."""
        entries = self.run.resolved.get(table, [])
        return [entry for entry in entries if entry.get("name") == self.score]

    @cached_property
    def versions(self) -> dict[str, str]:
        """Return the versions by name of anokit and of plugins that the score was made with.

        They are records for people, and a damaged one stops nobody.
        """
        directory = RunDirectory(self.path)
        own = [entry for key in ("scores", "baselines") for entry in self._own(key)]
        parts = ("dataset",) if self.stands_alone else ("dataset", "backbone", "encoder-losses")
        used = set(used_plugins([*own, *(self.run.resolved.get(key) for key in parts)]))
        try:
            made = directory.environment().plugins
            made = {name: made[name] for name in used & set(made)}
            added = directory.added().get(self.score) if self.row and self.row.added else None
        except CheckpointError:
            return {}
        return {"anokit": self.results.anokit, **made, **(added.plugins if added else {})}

    @property
    def remarks(self) -> list[str]:
        """Return what must stand beside its figures."""
        found = [] if self.row is None else [*self.row.remarks]
        if self.results.data == "simulated":
            found.append("simulated data: says nothing of the real ones")
        if self.results.quick:
            found.append("quick run: shows the path, not the quality")
        return found


def read_run(path: Path) -> GatheredRun:
    """Read a finished run.

    Raises
    ------
    CheckpointError
        Where it is not finished or is damaged.
    UsageError
        Where another process has been changing it for long.
    """
    directory = RunDirectory(path)
    directory.check_finished()
    return GatheredRun(path, read_results(directory), directory.resolved(), directory.split())


def find_runs(given: Iterable[Path]) -> list[GatheredRun]:
    """Read the finished runs at or below some folders, in order of path.

    Raises
    ------
    UsageError
        As `find_paths` and `read_run` do.
    CheckpointError
        Where a run is damaged.
    """
    return [read_run(path) for path in find_paths(given)]


def find_paths(given: Iterable[Path]) -> list[Path]:
    """Return the directories of the finished runs at or below some folders, in order of path.

    Raises
    ------
    UsageError
        Where a folder is not there, or there is no finished run at all.
    """
    paths: dict[Path, None] = {}
    for folder in given:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder")
        below = sorted(file.parent for file in folder.rglob("results.json"))
        paths |= dict.fromkeys(path for path in below if (path / "resolved.json").exists())
    if not paths:
        names = ", ".join(map(str, given))
        raise UsageError(f"{names}: no finished run; expected run directories, or folders of them")
    return list(paths)


def remarks_of(runs: Sequence[ScoredRun]) -> list[str]:
    """Return what must stand beside figures of several runs: of each, and of all together."""
    found = [text for run in runs for text in run.remarks]
    for name in sorted({name for run in runs for name in run.versions}):
        counts = Counter(run.versions[name] for run in runs if name in run.versions)
        if len(counts) > 1:
            listed = ", ".join(f"{version} made {count}" for version, count in counts.items())
            found.append(f"runs of several versions of {name}: {listed}")
    return list(dict.fromkeys(found))


def chosen_of(runs: Sequence[ScoredRun], *, threshold: bool) -> list[str]:
    """Return a sentence on how the epochs of runs were chosen, and if asked on their thresholds."""
    chosen = [run.results.selection for run in runs]
    said = {"Epoch": [one.epoch for one in chosen]}
    if threshold:
        said["Threshold"] = [one.threshold for one in chosen]
    sentences = []
    for what, texts in said.items():
        different = list(dict.fromkeys(filter(None, texts)))
        more = f" / and {len(different) - WAYS} other ways" if len(different) > WAYS else ""
        if different:
            sentences.append(f"{what}: {' / '.join(different[:WAYS])}{more}.")
    return sentences


def grouped(runs: Sequence[ScoredRun], keys: Sequence[str]) -> list[list[ScoredRun]]:
    """Return runs of equal key together, in the order in which keys first occur, each by seed.

    Raises
    ------
    UsageError
        Where two runs of one group have the same seed.
    """
    groups: dict[str, list[ScoredRun]] = {}
    for run, key in zip(runs, keys, strict=True):
        groups.setdefault(key, []).append(run)
    for members in groups.values():
        members.sort(key=lambda run: (run.results.seed is None, run.results.seed))
        seeds = [run.results.seed for run in members]
        for seed in seeds:
            if seeds.count(seed) > 1:
                twice = [str(one.path) for one in members if one.results.seed == seed]
                raise UsageError(
                    f"{', '.join(twice[:3])}{', …' if len(twice) > 3 else ''}: there are several "
                    f"runs of this recipe and score with seed {seed}; name one of them"
                )
    return list(groups.values())
