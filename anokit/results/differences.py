"""How much one score is better than another on the same test images, from scores alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

from anokit.results.metrics import Estimate, area_under, percentile_interval

__all__ = ["Difference", "Scores", "delong", "difference", "holm", "mean_auroc"]

Floats = npt.NDArray[np.float64]

_CELLS = 2_000_000
"""Entries of one array of resamples × images; a few such arrays are alive at once."""


@dataclass(frozen=True)
class Scores:
    """One run's scores of its test set."""

    seed: int | None
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    """``[N]`` of 0 and 1, both of them there"""
    values: Floats
    """``[N]``, higher = more anomalous"""

    @property
    def auroc(self) -> float:
        """Return the area under the ROC curve."""
        return float(roc_auc_score(self.labels, self.values))


@dataclass(frozen=True)
class Difference:
    """Mean AUROC of the second over its runs, less that of the first."""

    auroc: Estimate
    p: float
    """of no difference, two-sided"""
    test: str
    """what p is from"""
    paired_seeds: bool
    """whether runs of equal seeds were compared with each other"""


def delong(first: Scores, second: Scores) -> tuple[float, float]:
    """Return AUROC of ``second`` − ``first`` on the same images, and its standard error.

    Source: DeLong, DeLong, Clarke-Pearson (1988), by the midranks of Sun and Xu (2014).
    """
    parts = [_placements(scores) for scores in (first, second)]
    found = parts[1][0].mean() - parts[0][0].mean()
    variance = sum(float(np.var(b - a, ddof=1)) / len(a) for a, b in zip(*parts, strict=True))
    return float(found), float(np.sqrt(variance))


def _placements(scores: Scores) -> tuple[Floats, Floats]:
    """Return for each anomalous image the share of normal ones below it, and the reverse."""
    anomalous = scores.labels == 1
    positive, negative = scores.values[anomalous], scores.values[~anomalous]
    ranks = rankdata(np.concatenate([positive, negative]))
    m, n = len(positive), len(negative)
    below = (ranks[:m] - rankdata(positive)) / n
    above = 1 - (ranks[m:] - rankdata(negative)) / m
    return below, above


def difference(
    first: Sequence[Scores],
    second: Sequence[Scores],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Compare two systems, each by its runs of one or several seeds.

    Every resample draws normal and anomalous images anew, the same ones for all runs that have the
    same test set, and, where a system has several runs, runs; those of equal seeds stay together
    where both systems have the same seeds. So the interval is over images, and over seeds as far
    as there are any. p is DeLong's for one run of either, and else the bootstrap's.

    Parameters
    ----------
    first, second
        Runs of each system. Paired: runs that are compared have the same images.
    resamples
        Of the bootstrap (Efron and Tibshirani 1993, chapter 8).
    seed
        Of the resampling.
    level
        Coverage of the interval.
    """
    generator = np.random.default_rng(seed)
    one, other = _resampled([*first], [*second], resamples, generator)
    paired = [run.seed for run in first] == [run.seed for run in second]
    rows = np.arange(resamples)[:, None]
    chosen = generator.integers(0, len(one), (resamples, len(one)))
    also = chosen if paired else generator.integers(0, len(other), (resamples, len(other)))
    draws = other.T[rows, also].mean(axis=1) - one.T[rows, chosen].mean(axis=1)
    found = float(np.mean([run.auroc for run in second]) - np.mean([run.auroc for run in first]))
    if len(first) == len(second) == 1:
        value, error = delong(first[0], second[0])
        p = 1.0 if value == 0 else float(2 * norm.sf(abs(value) / error)) if error else 0.0
        test = "DeLong"
    else:
        tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
        p, test = min(1.0, 2 * (tail + 1) / (resamples + 1)), "bootstrap over seeds and images"
    return Difference(percentile_interval(found, draws, level), p, test, paired and len(first) > 1)


def mean_auroc(
    runs: Sequence[Scores], *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Return the mean AUROC of a system's runs, with an interval over images and, so far, seeds.

    Resampled as `difference` does: one run has the interval that its results have.
    """
    generator = np.random.default_rng(seed)
    found, _ = _resampled([*runs], [], resamples, generator)
    chosen = generator.integers(0, len(found), (resamples, len(found)))
    draws = found.T[np.arange(resamples)[:, None], chosen].mean(axis=1)
    return percentile_interval(float(np.mean([run.auroc for run in runs])), draws, level)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values of several comparisons corrected by Holm (1979), in their order."""
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    raised = np.minimum(1.0, np.maximum.accumulate(np.asarray(values)[order] * factors))
    corrected = np.empty(len(values))
    corrected[order] = raised
    return [float(p) for p in corrected]


def _resampled(
    first: list[Scores], second: list[Scores], resamples: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the AUROC of every run on every resample: ``[S₁, R]`` and ``[S₂, R]``."""
    runs = [*first, *second]
    found = np.empty((len(runs), resamples))
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, run in enumerate(runs):
        groups.setdefault(tuple(sorted(run.ids)), []).append(place)
    for ids, places in groups.items():
        count = max(1, _CELLS // len(ids))
        for start in range(0, resamples, count):
            rows = slice(start, min(start + count, resamples))
            weights = _weights(runs[places[0]], ids, rows.stop - rows.start, generator)
            for place in places:
                found[place, rows] = _weighted_auroc(runs[place], ids, weights)
    return found[: len(first)], found[len(first) :]


def _weights(
    run: Scores, ids: tuple[str, ...], rows: int, generator: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Return how often each image is drawn, class by class: ``[rows, N]`` in order of ``ids``."""
    labels = run.labels[_order(run, ids)]
    weights = np.zeros((rows, len(ids)), dtype=np.int32)
    for label in (0, 1):
        here = np.flatnonzero(labels == label)
        weights[:, here] = generator.multinomial(len(here), np.full(len(here), 1 / len(here)), rows)
    return weights


def _weighted_auroc(run: Scores, ids: tuple[str, ...], weights: npt.NDArray[np.int32]) -> Floats:
    order = _order(run, ids)
    labels, values = run.labels[order], run.values[order]
    falling = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[falling]) != 0])
    sides = [
        np.add.reduceat(weights[:, falling] * (labels[falling] == label), starts, axis=1)
        for label in (1, 0)
    ]
    return area_under(sides[0].astype(np.float64), sides[1].astype(np.float64), 1.0)


def _order(run: Scores, ids: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Return where each of ``ids``, sorted, is in the run."""
    return np.array(sorted(range(len(ids)), key=run.ids.__getitem__), dtype=np.intp)
