"""Compare finished runs on the same test images: is one of them better."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from anokit.errors import UsageError
from anokit.results.comparison import Compared, Comparison, System
from anokit.results.differences import difference, holm
from anokit.runs.gathering import ScoredRun, chosen_of, grouped, read_run, remarks_of

SHOWN_IDS = 3
"""Images that are named where test sets differ."""


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
    teams = grouped(entrants, [entrant.key for entrant in entrants])
    if len(teams) < 2:
        raise UsageError(
            f"compare: expected at least two systems, got {len(teams)}: runs of one recipe that "
            "differ in their seed alone are one; name another run, or RUN:SCORE"
        )
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
        chosen=chosen_of(entrants, threshold=False),
    )


def _entrant(text: str, score: str | None) -> ScoredRun:
    path, own = Path(text), score
    if not path.exists() and ":" in text:
        folder, _, own = text.rpartition(":")
        path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"{path}: no such run directory; expected RUN or RUN:SCORE")
    return read_run(path).scored(own)


def _refuse_other_terms(first: ScoredRun, other: ScoredRun) -> None:
    for what in ("protocol", "data"):
        one, two = (getattr(entrant.results, what) for entrant in (first, other))
        if one != two:
            raise UsageError(
                f"{first.path} and {other.path}: cannot be compared, their {what} differ: {one!r} "
                f"and {two!r}"
            )


def _refuse_other_images(first: Sequence[ScoredRun], second: Sequence[ScoredRun]) -> None:
    """Refuse runs that would be compared with each other and have not the same test images."""
    paired = [e.results.seed for e in first] == [e.results.seed for e in second]
    pairs = zip(first, second, strict=True) if paired else ((a, b) for a in first for b in second)
    for one, two in pairs:
        labels = [
            dict(zip(entrant.scores.ids, entrant.scores.labels.tolist(), strict=True))
            for entrant in (one, two)
        ]
        if labels[0] == labels[1]:
            _refuse_other_pixels(one, two)
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


def _refuse_other_pixels(one: ScoredRun, two: ScoredRun) -> None:
    """Refuse test images of equal names and sizes that are not the same images."""
    sizes, prints = (
        [getattr(scored.run.split, key) for scored in (one, two)]
        for key in ("spec", "test_fingerprint")
    )
    if sizes[0] == sizes[1] and all(prints) and prints[0] != prints[1]:
        raise UsageError(
            f"{one.path} and {two.path}: cannot be compared, their test images have the same names "
            "and are not the same (their hashes differ); run both on the same data"
        )


def _names(teams: Sequence[Sequence[ScoredRun]]) -> list[str]:
    """Return a name of each system: recipe and score, and where need be its first run."""
    names = [f"{team[0].results.recipe}:{team[0].score}" for team in teams]
    return [
        name if names.count(name) == 1 else f"{name} ({team[0].path.name})"
        for name, team in zip(names, teams, strict=True)
    ]


def _system(name: str, team: Sequence[ScoredRun]) -> System:
    return System(
        name=name,
        score=team[0].score,
        runs=[str(run.path) for run in team],
        seeds=[run.results.seed for run in team],
        auroc=[round(run.scores.auroc, 6) for run in team],
        remarks=remarks_of(team),
    )
