"""Thresholds that stand for a false-alarm rate, and p-values, from scores of training images.

The scores are those of images that the score was not fitted on (`anokit.scoring.training_scores`).
Where nothing anomalous is among them, a new normal image exceeds the conformal threshold with a
probability of at most the rate asked for (Vovk, Gammerman, Shafer 2005; Laxhammar and Falkman
2010). Anomalies among them push the threshold up: fewer false alarms than promised, and fewer
finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anokit.recipe.tables import ThresholdSettings
from anokit.results.metrics import require_finite
from anokit.store.score_table import Judged

Floats = npt.NDArray[np.float64]

TAIL = 0.1
"""Share of the scores that `gpd` takes for the tail: those above the 90 % quantile."""

LEAST_TAIL = 30
"""Least scores in a tail; with fewer `gpd` does as `conformal` does, and says so."""


@dataclass(frozen=True)
class Calibration:
    """Scores of training images by one score, and how to judge by them."""

    scores: Floats
    """``[n]``, sorted, what was trimmed left out"""
    settings: ThresholdSettings
    tail: Tail | None
    """None where the method is not ``gpd`` or the tail is too short"""

    @classmethod
    def of(cls, scores: npt.ArrayLike, settings: ThresholdSettings) -> Calibration:
        """Return the calibration by ``scores`` ``[N]``, N ≥ 1.

        Raises
        ------
        AnokitError
            Where a score is not finite.
        """
        values = np.sort(np.asarray(scores, dtype=np.float64))
        require_finite(values)
        kept = values[: max(1, len(values) - int(settings.trim * len(values)))]
        return cls(kept, settings, Tail.of(kept) if settings.method == "gpd" else None)

    @property
    def method(self) -> str:
        """Return the method that is used, which is ``conformal`` where a tail is too short."""
        short = self.settings.method == "gpd" and self.tail is None
        return "conformal" if short else self.settings.method

    @property
    def promised(self) -> float:
        """Return the false-alarm rate that the threshold stands for.

        Conformal thresholds cannot promise less than 1/(n + 1).
        """
        rate = self.settings.false_alarms
        return max(rate, 1 / (len(self.scores) + 1)) if self.method == "conformal" else rate

    @property
    def threshold(self) -> float:
        """Return the value that an image must *exceed* to be flagged."""
        rate, n = self.settings.false_alarms, len(self.scores)
        if self.tail is not None:
            return self.tail.quantile(rate)
        if self.method == "quantile":
            return float(np.quantile(self.scores, 1 - rate))
        # An image above the k-th largest score has p ≤ k/(n + 1). Rates such as 0.1 are not exact
        # in binary: 0.1 of 9 + 1 images is one, not int(0.99…).
        k = min(max(1, math.floor(rate * (n + 1) + 1e-9)), n)
        return float(self.scores[n - k])

    def p_values(self, scores: npt.ArrayLike) -> Floats:
        """Return the p-value of every score ``[M] -> [M]``, of images that were not scored for it.

        It is (1 + #{calibration scores ≥ s}) / (n + 1), and with ``gpd`` in the tail that of the
        fitted distribution. That of one image does not depend on the others.
        """
        values = np.asarray(scores, dtype=np.float64)
        n = len(self.scores)
        p = (1 + n - np.searchsorted(self.scores, values, side="left")) / (n + 1)
        return p if self.tail is None else self.tail.p_values(values, p)

    def own_p_values(self, scores: npt.ArrayLike) -> Floats:
        """Return the p-values of the training images themselves: ``[N] -> [N]``.

        It is #{calibration scores ≥ s} / n: an image among the others, itself counted, as for a
        new one. What was trimmed has 1 / (n + 1).
        """
        values = np.asarray(scores, dtype=np.float64)
        n = len(self.scores)
        above = n - np.searchsorted(self.scores, values, side="left")
        p = np.where(above > 0, above / n, 1 / (n + 1))
        return p if self.tail is None else self.tail.p_values(values, p)

    def judge(self, scores: npt.ArrayLike, *, own: bool = False) -> Judged:
        """Return which images with these scores ``[M]`` are flagged, and their p-values.

        ``own`` says that they are the training images themselves. Each is then judged among the
        others: by `conformal` flagged where its p-value is at most the rate, or 1/n.
        """
        values = np.asarray(scores, dtype=np.float64)
        if not own:
            return Judged(values > self.threshold, self.p_values(values), self.threshold)
        p_values = self.own_p_values(values)
        flagged = values > self.threshold
        if self.method == "conformal":
            least = max(self.settings.false_alarms, 1 / len(self.scores))
            flagged = p_values <= least + 1e-12
        return Judged(flagged, p_values, self.threshold)


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto distribution of the excesses over a high quantile.

    Fitted by probability-weighted moments (Hosking and Wallis 1987): with b0 the mean excess and
    b1 = mean of y_(i)·(n − i)/(n − 1), ascending, shape ξ = 2 − b0/(b0 − 2·b1) and scale
    σ = 2·b0·b1/(b0 − 2·b1).
    """

    start: float
    share: float
    """of all scores, above ``start``"""
    shape: float
    scale: float

    @classmethod
    def of(cls, scores: Floats) -> Tail | None:
        """Return the tail of sorted scores ``[n]``, or None where it is too short or all equal."""
        start = float(np.quantile(scores, 1 - TAIL))
        excess = scores[scores > start] - start
        count = len(excess)
        if count < LEAST_TAIL:
            return None
        b0 = float(excess.mean())
        b1 = float(np.mean(excess * (count - np.arange(1, count + 1)) / (count - 1)))
        spread = b0 - 2 * b1
        if spread <= 0:
            return None
        return cls(start, count / len(scores), 2 - b0 / spread, 2 * b0 * b1 / spread)

    def quantile(self, rate: float) -> float:
        """Return the score that a share ``rate`` exceeds; never below the start of the tail."""
        ratio = min(rate / self.share, 1.0)
        if abs(self.shape) < 1e-9:
            return self.start - self.scale * math.log(ratio)
        return self.start + self.scale / self.shape * (ratio**-self.shape - 1)

    def p_values(self, scores: Floats, below: Floats) -> Floats:
        """Return the share above each score ``[M]``: ``below`` where it is not in the tail."""
        excess = np.maximum(scores - self.start, 0) / self.scale
        if abs(self.shape) < 1e-9:
            left = np.exp(-excess)
        else:
            left = np.maximum(1 + self.shape * excess, 0) ** (-1 / self.shape)
        return np.where(scores > self.start, self.share * left, below)


def discoveries(p_values: npt.ArrayLike, rate: float) -> npt.NDArray[np.bool_]:
    """Return which of ``p_values`` ``[M]`` are flagged so that a share ``rate`` is flagged wrongly.

    Benjamini and Hochberg (1995): with p sorted, all up to the largest i with p_(i) ≤ rate·i/M.
    The expected share of normal images among those flagged is then at most ``rate``.
    """
    p = np.asarray(p_values, dtype=np.float64)
    return p <= discovery_bound(p, rate, len(p))


def discovery_bound(p_values: npt.ArrayLike, rate: float, count: int) -> float:
    """Return the p-value up to which `discoveries` flags; −1 where it flags nothing.

    Of ``count`` p-values those above ``rate`` may be missing, since they change nothing.
    """
    p = np.sort(np.asarray(p_values, dtype=np.float64))
    below = np.flatnonzero(p <= rate * np.arange(1, len(p) + 1) / max(count, 1))
    return float(p[below[-1]]) if len(below) else -1.0
