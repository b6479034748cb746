"""Compare finished runs on the same test images: is one of them better."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from anokit.errors import UsageError
from anokit.results.differences import Scores, difference, holm
from anokit.results.metrics import Estimate
from anokit.results.rows import Results, read_results
from anokit.store.run_directory import RunDirectory

SHOWN_IDS = 3
"""Images that are named where test sets differ."""

LEVEL = 0.05
"""p below which a difference is called one."""


class System(BaseModel):
    """What is compared: one score of one recipe, by its runs of one or several seeds."""

    name: str
    score: str
    runs: list[str]
    seeds: list[int | None]
    auroc: list[float]
    """of each run"""
    remarks: list[str] = []
    """what must stand beside its figures"""


class Compared(BaseModel):
    """A pair of systems: ``second`` − ``first``."""

    first: str
    second: str
    auroc: Estimate
    p: float
    p_holm: float
    """corrected for the number of pairs"""
    test: str
    paired_seeds: bool

    @property
    def verdict(self) -> str:
        """Return in words whether one is better."""
        if self.auroc.low <= 0 <= self.auroc.high:
            return "not resolved: the interval holds zero"
        better = self.second if self.auroc.value > 0 else self.first
        if self.p_holm >= LEVEL:
            return f"{better} is better, though not resolved among so many comparisons"
        return f"{better} is better"


class Comparison(BaseModel):
    """All pairs, and what they have in common."""

    protocol: str
    normal: int
    anomalous: int
    resamples: int
    systems: list[System]
    pairs: list[Compared]


@dataclass(frozen=True)
class _Entrant:
    path: Path
    score: str
    results: Results
    resolved: dict[str, Any]
    scores: Scores

    @property
    def key(self) -> str:
        """Return what runs of one system share: all of the recipe but the seed, and the score."""
        apart = ("seed", "title", "requires", "published")
        content = {key: value for key, value in self.resolved.items() if key not in apart}
        return json.dumps([content, self.score], sort_keys=True)


def compare(
    given: Sequence[str],
    *,
    score: str | None = None,
    all_pairs: bool = False,
    resamples: int = 10_000,
) -> Comparison:
    """Compare runs; those of one recipe that differ in their seed alone are one system.

    Parameters
    ----------
    given
        Run directories, each alone or as ``RUN:SCORE``.
    score
        The score to compare; None for each run's primary one.
    all_pairs
        Whether all are compared with each other, instead of with the first.
    resamples
        Of the bootstrap.

    Raises
    ------
    UsageError
        Where there is nothing to compare: fewer than two systems, no such score, no labels, other
        test images, another protocol, simulated images beside real ones.
    CheckpointError
        Where a run is not finished, or a file of it is damaged.
    """
    entrants = [_entrant(text, score) for text in given]
    groups: dict[str, list[_Entrant]] = {}
    for entrant in entrants:
        groups.setdefault(entrant.key, []).append(entrant)
    if len(groups) < 2:
        raise UsageError(
            f"compare: expected at least two systems, got {len(groups)}: runs of one recipe that "
            "differ in their seed alone are one; name another run, or RUN:SCORE"
        )
    for members in groups.values():
        members.sort(key=lambda entrant: (entrant.results.seed is None, entrant.results.seed))
        _refuse_twice(members)
    teams = list(groups.values())
    for entrant in entrants[1:]:
        _refuse_other_terms(entrants[0], entrant)
    names = _names(teams)
    pairs = list(combinations(range(len(teams)), 2)) if all_pairs else []
    pairs = pairs or [(0, place) for place in range(1, len(teams))]
    found = []
    for first, second in pairs:
        _refuse_other_images(teams[first], teams[second])
        one, other = ([entrant.scores for entrant in teams[at]] for at in (first, second))
        found.append(difference(one, other, resamples=resamples))
    labels = entrants[0].scores.labels
    return Comparison(
        protocol=entrants[0].results.protocol,
        normal=int((labels == 0).sum()),
        anomalous=int((labels == 1).sum()),
        resamples=resamples,
        systems=[_system(name, team) for name, team in zip(names, teams, strict=True)],
        pairs=[
            Compared(
                first=names[first],
                second=names[second],
                auroc=gap.auroc,
                p=gap.p,
                p_holm=corrected,
                test=gap.test,
                paired_seeds=gap.paired_seeds,
            )
            for (first, second), gap, corrected in zip(
                pairs, found, holm([gap.p for gap in found]), strict=True
            )
        ],
    )


def _entrant(text: str, score: str | None) -> _Entrant:
    path, own = Path(text), score
    if not path.exists() and ":" in text:
        folder, _, own = text.rpartition(":")
        path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"{path}: no such run directory; expected RUN or RUN:SCORE")
    directory = RunDirectory(path)
    results = read_results(directory)
    name = own or results.primary
    if not directory.table.exists():
        raise UsageError(f"{path}: has no scores.csv, since the run had no test set")
    table = directory.read_scores()
    if name not in table.columns:
        raise UsageError(
            f"{path}: has no score {name!r}; there are: {', '.join(table.columns) or 'none'}"
        )
    if not table.two_classes:
        raise UsageError(f"{path}: has no labels of both classes, so there is nothing to compare")
    known = table.labels >= 0
    ids = tuple(name for name, keep in zip(table.ids, known, strict=True) if keep)
    scores = Scores(results.seed, ids, table.labels[known], table.columns[name][known])
    return _Entrant(path, name, results, directory.read_json("resolved.json"), scores)


def _refuse_twice(members: Sequence[_Entrant]) -> None:
    seeds = [entrant.results.seed for entrant in members]
    for entrant, seed in zip(members, seeds, strict=True):
        if seeds.count(seed) > 1:
            raise UsageError(
                f"{entrant.path}: there are several runs of this recipe and score with seed "
                f"{seed}; name one of them"
            )


def _refuse_other_terms(first: _Entrant, other: _Entrant) -> None:
    for what in ("protocol", "data"):
        one, two = (getattr(entrant.results, what) for entrant in (first, other))
        if one != two:
            raise UsageError(
                f"{first.path} and {other.path}: cannot be compared, their {what} differ: {one!r} "
                f"and {two!r}"
            )


def _refuse_other_images(first: Sequence[_Entrant], second: Sequence[_Entrant]) -> None:
    """Refuse runs that would be compared with each other and have not the same test images."""
    paired = [e.results.seed for e in first] == [e.results.seed for e in second]
    pairs = zip(first, second, strict=True) if paired else ((a, b) for a in first for b in second)
    for one, two in pairs:
        labels = [
            dict(zip(entrant.scores.ids, entrant.scores.labels.tolist(), strict=True))
            for entrant in (one, two)
        ]
        if labels[0] == labels[1]:
            continue
        apart = sorted(set(labels[0]) ^ set(labels[1]))
        what = f"{len(apart):,} images are in one of them alone"
        if not apart:
            apart = sorted(name for name in labels[0] if labels[0][name] != labels[1][name])
            what = f"{len(apart):,} images are labelled otherwise"
        shown = ", ".join(apart[:SHOWN_IDS]) + (", …" if len(apart) > SHOWN_IDS else "")
        raise UsageError(
            f"{one.path} and {two.path}: cannot be compared, their test sets differ: {what} "
            f"({shown}); give both recipes the same test images, seed and max_test"
        )


def _names(teams: Sequence[Sequence[_Entrant]]) -> list[str]:
    """Return a name of each system: recipe and score, and where need be its first run."""
    names = [f"{team[0].results.recipe}:{team[0].score}" for team in teams]
    return [
        name if names.count(name) == 1 else f"{name} ({team[0].path.name})"
        for name, team in zip(names, teams, strict=True)
    ]


def _system(name: str, team: Sequence[_Entrant]) -> System:
    first = team[0]
    row = next((row for row in first.results.rows if row.name == first.score), None)
    remarks = [] if row is None else row.remarks
    if first.results.quick:
        remarks = [*remarks, "quick run: it shows the path, not the quality"]
    return System(
        name=name,
        score=first.score,
        runs=[str(entrant.path) for entrant in team],
        seeds=[entrant.results.seed for entrant in team],
        auroc=[round(entrant.scores.auroc, 6) for entrant in team],
        remarks=remarks,
    )
