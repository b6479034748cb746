"""Figures of merit with bootstrap intervals, from labels and scores alone.

Everything rests on one table: how much weight of either class lies at each distinct score, from the
highest score down. Resampling changes the weights, never the order, so a thousand resamples are one
array and scores are sorted once.

SciPy's statistics and scikit-learn are imported on use: that takes a second, which commands that
measure nothing, such as `anokit score`, do not wait for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anokit.errors import AnokitError

__all__ = [
    "Estimate",
    "Metrics",
    "auroc_by_kind",
    "auroc_over_lambda",
    "measure",
    "rates",
]

Floats = npt.NDArray[np.float64]

_CELLS = 500_000
"""Entries of one array of resamples × scores; about ten such arrays are alive at once."""


_SLACK = 1e-9
"""Keeps a rate of exactly 0.95 on the right side of 0.95 in floating point."""


@dataclass(frozen=True)
class Estimate:
    """A measured value and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return ``0.912 [0.893, 0.930]``."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Metrics:
    """What a score is worth on a labelled set; every value in [0, 1]."""

    auroc: Estimate
    """chance that an anomalous image scores above a normal one, ties counting half; 0.5 = no cue"""
    ap: Estimate
    """average precision, Σ (Rₙ − Rₙ₋₁)·Pₙ; its chance level is the share of anomalous images"""
    fpr95: Estimate
    """share of normal images flagged where 95 % of the anomalous ones are; lower is better"""
    f1: Estimate | None
    """F1 = 2·TP / (2·TP + FP + FN) at a threshold chosen without labels; None without one"""
    f1_max: Estimate
    """largest F1 over all thresholds: selected by the labels, so an upper bound and no result"""


def measure(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float | None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Metrics | None:
    """Return the metrics of a score, each with a stratified percentile bootstrap interval.

    Normal and anomalous images are resampled separately, so that every resample has as many of
    either as the test set (Efron & Tibshirani 1993, chapters 13 and 16).

    Parameters
    ----------
    labels
        int ``[N]``: 0 normal, 1 anomalous.
    scores
        float ``[N]``: higher = more anomalous.
    threshold
        An image counts as anomalous where its score *exceeds* this; None leaves ``f1`` out.
    resamples
        Number of bootstrap resamples, at least 1.
    seed
        Of the resampling.
    level
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    Metrics or None
        None where the labels have one class or none: there is nothing to tell apart.

    Raises
    ------
    AnokitError
        Where lengths differ, a label is neither 0 nor 1 or a score is not finite.
    """
    truth, values = _checked(labels, scores)
    if len(np.unique(truth)) < 2:
        return None
    levels, group = np.unique(-values, return_inverse=True)
    above = None if threshold is None else int(np.sum(-levels > threshold))
    points = _point_metrics(truth, values, threshold)
    draws: dict[str, list[Floats]] = {name: [] for name in points}
    generator = np.random.default_rng(seed)
    chunk = max(1, _CELLS // len(values))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        positive = _resampled(group[truth == 1], len(levels), rows, generator)
        negative = _resampled(group[truth == 0], len(levels), rows, generator)
        for name, drawn in _weighted_metrics(positive, negative, above).items():
            draws[name].append(drawn)
    found = {
        name: percentile_interval(value, np.concatenate(draws[name]), level)
        for name, value in points.items()
    }
    return Metrics(
        auroc=found["auroc"],
        ap=found["ap"],
        fpr95=found["fpr95"],
        f1=found.get("f1"),
        f1_max=found["f1_max"],
    )


def rates(
    labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float, *, level: float = 0.95
) -> dict[str, Estimate]:
    """Return which share of each class exceeds a threshold, with exact binomial intervals.

    ``fpr`` of the normal images (false alarms), ``tpr`` of the anomalous ones (finds); a class
    without images has none. Intervals: Clopper and Pearson (1934).
    """
    from scipy.stats import binomtest

    truth, values = _checked(labels, scores)
    found = {}
    for name, label in (("fpr", 0), ("tpr", 1)):
        flagged = values[truth == label] > threshold
        if len(flagged):
            count = int(flagged.sum())
            ends = binomtest(count, len(flagged)).proportion_ci(level, "exact")
            found[name] = Estimate(count / len(flagged), float(ends.low), float(ends.high))
    return found


def auroc_over_lambda(
    labels: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike, lambdas: npt.ArrayLike
) -> Floats:
    """Return the AUROC of λ·a + (1 − λ)·b for every λ: ``[N], [N], [N], [L] -> [L]``.

    The λ at which it is largest is selected by the labels. A single class gives NaN throughout.
    """
    from sklearn.metrics import roc_auc_score

    truth, first = _checked(labels, a)
    _, second = _checked(labels, b)
    weights = np.atleast_1d(np.asarray(lambdas, dtype=np.float64))
    if len(np.unique(truth)) < 2:
        return np.full(len(weights), np.nan)
    return np.array([roc_auc_score(truth, w * first + (1 - w) * second) for w in weights])


def auroc_by_kind(
    labels: npt.ArrayLike, scores: npt.ArrayLike, kinds: Sequence[str]
) -> dict[str, float]:
    """Return the AUROC of each kind of anomalous image against all normal images.

    ``kinds`` names what each of the N images shows; those of normal images play no part. Empty
    where the labels have one class or none.
    """
    from sklearn.metrics import roc_auc_score

    truth, values = _checked(labels, scores)
    names = np.asarray(kinds, dtype=object)
    if len(np.unique(truth)) < 2:
        return {}
    found = {}
    for kind in sorted(set(names[truth == 1])):
        chosen = (truth == 0) | (names == kind)
        found[str(kind)] = float(roc_auc_score(truth[chosen], values[chosen]))
    return found


def require_finite(values: Floats, what: str = "scores") -> None:
    bad = int(np.sum(~np.isfinite(values)))
    if bad:
        raise AnokitError(
            f"{bad} of {values.size} {what} are not finite "
            f"({int(np.isnan(values).sum())} NaN), but every image needs a number. Look at the "
            "training curves for a loss that ran away, and at the images for blank ones."
        )


def _checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Floats]:
    truth = np.asarray(labels)
    values = np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise AnokitError(
            f"labels and scores: expected two vectors of one length, got shapes "
            f"{list(truth.shape)} and {list(values.shape)}"
        )
    if not np.isin(truth, (0, 1)).all():
        raise AnokitError(
            f"labels: expected 0 (normal) or 1 (anomalous), got {np.unique(truth).tolist()}; "
            "leave unlabelled images out"
        )
    require_finite(values)
    return truth.astype(np.int64), values


def _point_metrics(
    truth: npt.NDArray[np.int64], values: Floats, threshold: float | None
) -> Mapping[str, float]:
    from sklearn import metrics

    fpr, tpr, _ = metrics.roc_curve(truth, values, drop_intermediate=False)
    precision, recall, _ = metrics.precision_recall_curve(truth, values)
    harmonic = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    points = {
        "auroc": metrics.roc_auc_score(truth, values),
        "ap": metrics.average_precision_score(truth, values),
        "fpr95": fpr[np.argmax(tpr >= 0.95 - _SLACK)],
        "f1_max": harmonic.max(),
    }
    if threshold is not None:
        flagged = values > threshold
        hits = np.sum(flagged & (truth == 1))
        points["f1"] = 2 * hits / (flagged.sum() + np.sum(truth == 1))
    return {name: float(value) for name, value in points.items()}


def _resampled(
    group: npt.NDArray[np.intp], groups: int, rows: int, generator: np.random.Generator
) -> Floats:
    """Draw ``rows`` resamples of the images whose groups are given: counts ``[rows, groups]``."""
    drawn = group[generator.integers(0, len(group), (rows, len(group)))]
    drawn += np.arange(rows)[:, None] * groups
    counts = np.bincount(drawn.ravel(), minlength=rows * groups)
    return counts.reshape(rows, groups).astype(np.float64)


def _weighted_metrics(positive: Floats, negative: Floats, above: int | None) -> dict[str, Floats]:
    """Return every metric for weights ``[R, G]`` of both classes, highest score first -> ``[R]``.

    ``above`` is the number of groups whose score exceeds the threshold.
    """
    tp, fp = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    total = tp[:, -1:]
    flagged = tp + fp
    precision = np.divide(tp, flagged, out=np.zeros_like(tp), where=flagged > 0)
    f1 = 2 * tp / (flagged + total)
    reached = np.argmax(tp >= (0.95 - _SLACK) * total, axis=1)[:, None]
    found = {
        "auroc": area_under(positive, negative, 1.0),
        "ap": np.sum(positive * precision, axis=1) / total[:, 0],
        "fpr95": (np.take_along_axis(fp, reached, axis=1) / fp[:, -1:])[:, 0],
        "f1_max": f1.max(axis=1),
    }
    if above is not None:
        found["f1"] = f1[:, above - 1] if above else np.zeros(len(f1))
    return found


def area_under(positive: Floats, negative: Floats, limit: float) -> Floats:
    """Return the area under weighted ROC curves up to FPR ``limit``, over ``limit``: ``-> [R]``.

    Divided only at the end, so that whole weights give 0 and 1 without rounding.
    """
    total, end = positive.sum(axis=1), limit * negative.sum(axis=1)
    left, below = np.cumsum(negative, axis=1) - negative, np.cumsum(positive, axis=1) - positive
    width = np.clip(end[:, None] - left, 0.0, negative)
    share = np.divide(width, negative, out=np.zeros_like(negative), where=negative > 0)
    area = np.sum(width * (below + positive * share / 2), axis=1) / (total * end)
    return np.clip(area, 0.0, 1.0)


def percentile_interval(value: float, draws: Floats, level: float) -> Estimate:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))
