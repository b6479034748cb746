"""Finished runs put to the test: stored weights and fitted scores must give the stored figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anokit.data.preparing import prepare
from anokit.data.sets import TestSet
from anokit.errors import AnokitError, CheckpointError
from anokit.results.assess import measure_row, score_test
from anokit.results.metrics import Estimate
from anokit.results.rows import Row, read_results
from anokit.runs.noting import noting
from anokit.runs.opened import OpenedRun, open_run
from anokit.scoring.scorer import Scorer, Values
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import ScoreTable
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.training.job import Job
from anokit.watching import NOBODY, Watcher

SCORES_WITHIN = 1e-3
"""Largest difference of a score, in standard deviations of that score over the test images, that is
rounding: another processor adds up in another order."""

FIGURES_WITHIN = 2e-3
"""Largest difference of a metric that such rounding makes: a few pairs of images change places."""


@dataclass(frozen=True)
class Verified:
    """What became of a run that was put to the test."""

    path: Path
    images: int = 0
    scores: int = 0
    largest: float = 0.0
    """difference of a score, in standard deviations of that score"""
    problems: tuple[str, ...] = ()
    """what is not as stored; empty where all is"""

    @property
    def in_words(self) -> str:
        """Return one line."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            return f"{self.problems[0]}{more}"
        equal = "to the bit" if self.largest == 0 else f"within {self.largest:.1g} of their spread"
        return f"{self.scores} scores of {self.images:,} test images as stored, {equal}"


def verify(
    run: Path,
    watcher: Watcher = NOBODY,
    *,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
) -> Verified:
    """Score a run's test set with its stored weights and compare with scores.csv and results.json.

    Nothing is written. Figures of maps are not made anew. What cannot be compared, since the data
    have changed or a file is damaged, is a problem, too.
    """
    try:
        every = {row.name for row in read_results(RunDirectory(run)).rows}
        opened = open_run(run, plugins=plugins, trust_plugins=trust_plugins, baselines=every)
        with noting(watcher) as told:
            found = _compare(opened, device, watcher)
        # Where something differs, what was told is why: of another version of a plugin, say.
        why = [text.removeprefix(f"{run}: ") for text in told] if found.problems else []
        return replace(found, problems=(*why, *found.problems))
    except AnokitError as error:
        return Verified(run, problems=(str(error).splitlines()[0].removeprefix(f"{run}: "),))


def _compare(opened: OpenedRun, device: str, watcher: Watcher) -> Verified:
    recipe, directory = opened.recipe(), opened.directory
    data = prepare(recipe.dataset, recipe.seed, watcher)
    directory.check_same_data(data.fingerprint)
    if data.test is None:
        raise CheckpointError(f"{directory.path}: has no test set, so it stores no figures")
    target = resolve_device(device)
    backbone = load_backbone(recipe, data.spec, target, directory.model)
    job = Job(recipe, data, backbone, directory, target, watcher)
    scores = [*recipe.scores, *recipe.baselines]
    scorer = Scorer(scores, backbone, target, recipe.evaluation.batch_size, recipe.seed)
    scorer.load(opened.fitted, opened.results.standards)
    _, columns, _ = score_test(job, data.test, scorer, scores)
    watcher.done()
    stored = directory.read_scores()
    problems, largest = _differing_scores(data.test, columns, stored)
    for name, values in columns.items():
        row = opened.results.row(name)
        if row is not None:
            again = row.model_copy(update={"metrics": None})
            measure_row(recipe, data.test, again, values)
            problems += _differing_figures(row, again)
    return Verified(directory.path, len(stored.ids), len(columns), largest, tuple(problems))


def _differing_scores(
    test: TestSet, columns: dict[str, Values], stored: ScoreTable
) -> tuple[list[str], float]:
    """Return what differs between scores and scores.csv, and by how much they differ at most."""
    if list(test.wholes.ids) != list(stored.ids):
        return ["scores.csv names other test images than the data have"], 0.0
    problems, largest = [], 0.0
    for name, values in columns.items():
        if name not in stored.columns:
            problems.append(f"{name}: is not in scores.csv")
            continue
        known = stored.columns[name]
        apart = float(np.abs(values - known).max()) / (float(known.std()) or 1.0)
        largest = max(largest, apart)
        if not apart <= SCORES_WITHIN:
            problems.append(f"{name}: scores differ by up to {apart:.2g} of their spread")
    return problems, largest


def _differing_figures(stored: Row, again: Row) -> list[str]:
    """Return which metrics of a row are not as stored."""
    if stored.metrics is None:
        return []
    found = []
    for metric, estimate in stored.metrics.items():
        other = again.metric(metric)
        if not _alike(estimate, other):
            words = ["none" if e is None else f"{e.value:.4f}" for e in (estimate, other)]
            found.append(f"{stored.name}: {metric} is stored as {words[0]}, measured {words[1]}")
    return found


def _alike(one: Estimate | None, other: Estimate | None) -> bool:
    if one is None or other is None:
        return one is other
    pairs = [(one.value, other.value), (one.low, other.low), (one.high, other.high)]
    return all(a == b or abs(a - b) <= FIGURES_WITHIN for a, b in pairs)
