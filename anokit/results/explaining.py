"""How far scores are explained by what an image shows without any network. Labels are read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, spearmanr

from anokit.data.sets import ImageTable, RunData, TestSet
from anokit.data.statistics import EQUALISED, STATISTICS, Copies, describe_wholes, equalise
from anokit.errors import CheckpointError
from anokit.results.differences import Scores, difference, mean_auroc
from anokit.results.explanations import EqualCopies, Explanation, Followed, Without
from anokit.results.metrics import Estimate, Floats

LEAST_IMAGES = 20
"""Training images below which nothing is regressed: five for each coefficient."""

OFF_TARGET = 0.01
"""Share of the target by which a copy may miss it and still count as equal."""

SAME = 1e-9
"""Share of a score's spread below which what a regression leaves is rounding."""

Rescore = Callable[[ImageTable], Mapping[str, Floats]]
"""Scores of copies of the test set, ``[M]`` by score name, of images as the user knows them."""


@dataclass(frozen=True)
class Values:
    """One score's values."""

    training: Floats
    """``[n]``, in the order of the names that `Explainer` was given"""
    test: Floats | None
    """``[M]``, of the test images as the user knows them; None without a test set"""
    auroc: Estimate | None
    """as it stands in the results"""


class Explainer:
    """What is known of a run's images without a network; explains scores by it.

    Parameters
    ----------
    names
        Training images whose scores there are, as the user calls them.
    resamples, seed
        Of the bootstrap.

    Raises
    ------
    CheckpointError
        Where a name is none of the training images.
    """

    def __init__(
        self, data: RunData, names: Sequence[str], *, resamples: int, seed: int | None
    ) -> None:
        self.resamples, self.seed = resamples, seed or 0
        wholes = data.train.wholes
        known = [data.train.names[row] for row in wholes.first]
        place = {name: at for at, name in enumerate(known)}
        if not set(names) <= set(place):
            raise CheckpointError(
                "training_scores.csv: damaged: its images are not those of the training set"
            )
        rows = np.array([place[name] for name in names], dtype=np.int64)
        found = describe_wholes(data.train.images, wholes)
        self.training = {name: values[rows] for name, values in found.items()}
        self.test = labelled(data.test)
        self.tested = (
            describe_wholes(self.test.images, self.test.wholes) if self.test is not None else {}
        )

    def explain(
        self,
        scores: Mapping[str, Values],
        rescore: Rescore | None = None,
        no_copies: str = "",
    ) -> list[Explanation]:
        """Explain scores, by name.

        ``rescore`` computes all of them on copies of the test images; None leaves that out, and
        ``no_copies`` says why.
        """
        copied = self._copied(rescore) if rescore and self.test is not None else {}
        return [self._explained(name, values, copied, no_copies) for name, values in scores.items()]

    def _explained(
        self,
        name: str,
        values: Values,
        copied: Mapping[str, tuple[Copies, Mapping[str, Floats]]],
        no_copies: str,
    ) -> Explanation:
        correlations = {
            statistic: rank_correlation(values.training, column)
            for statistic, column in self.training.items()
        }
        fit = Regression.of(values.training, self.training)
        found = Explanation(
            score=name,
            train_images=len(values.training),
            statistics=[
                Followed.model_validate({"statistic": statistic, "correlation": correlation})
                for statistic, correlation in correlations.items()
            ],
            explained=None if fit is None else fit.explained,
        )
        if self.test is None or values.test is None or values.auroc is None:
            return found
        found.auroc = values.auroc
        for one in found.statistics:
            sign = -1.0 if one.falling else 1.0
            one.auroc = self._auroc(sign * self.tested[one.statistic])
        if fit is not None:
            left = fit.residual(values.test, self.tested)
            found.regressed = Without(
                auroc=self._auroc(left), change=self._change(values.test, left)
            )
        for statistic, (copies, scores) in copied.items():
            target = float(np.median(self.training[statistic]))
            off = np.abs(copies.reached - target) > OFF_TARGET * target
            found.copies.append(
                EqualCopies.model_validate(
                    {
                        "statistic": statistic,
                        "target": target,
                        "auroc": self._auroc(scores[name]),
                        "change": self._change(values.test, scores[name]),
                        "clipped": float((copies.clipped > 0).mean()),
                        "missed": float(off.mean()),
                    }
                )
            )
        found.no_copies = "" if copied else no_copies
        return found

    def _copied(self, rescore: Rescore) -> dict[str, tuple[Copies, Mapping[str, Floats]]]:
        """Return copies of the test images by the statistic that is equal, and their scores."""
        assert self.test is not None
        found = {}
        for statistic in EQUALISED:
            target = float(np.median(self.training[statistic]))
            if target > 0:  # else at least half of the training images are flat
                copies = equalise(self.test.images, statistic, target)
                found[statistic] = copies, rescore(copies.images)
        return found

    def _scores(self, values: Floats) -> Scores:
        assert self.test is not None
        assert self.test.labels is not None
        wholes = self.test.wholes
        return Scores(None, tuple(wholes.ids), self.test.labels[wholes.first], values)

    def _auroc(self, values: Floats) -> Estimate:
        return mean_auroc([self._scores(values)], resamples=self.resamples, seed=self.seed)

    def _change(self, before: Floats, after: Floats) -> Estimate:
        one, other = self._scores(before), self._scores(after)
        return difference([one], [other], resamples=self.resamples, seed=self.seed).auroc


def labelled(test: TestSet | None) -> TestSet | None:
    """Return a test set that has labels of both classes, and None for any other."""
    if test is None or test.labels is None or not {0, 1} <= set(test.labels.tolist()):
        return None
    return test


def rank_correlation(a: Floats, b: Floats, level: float = 0.95) -> Estimate | None:
    """Return Spearman's rank correlation of ``a`` and ``b`` ``[n]`` with an interval.

    None where either is the same throughout, or n < 4. Interval: Fisher's z with the standard error
    √((1 + r²/2)/(n − 3)) of Bonett and Wright (2000), "Sample size requirements for estimating
    Pearson, Kendall and Spearman correlations".
    """
    if len(a) < 4 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    value = float(np.clip(spearmanr(a, b).statistic, -1, 1))
    if abs(value) > 1 - 1e-12:
        return Estimate(value, value, value)
    reach = norm.ppf((1 + level) / 2) * np.sqrt((1 + value**2 / 2) / (len(a) - 3))
    low, high = np.tanh(np.arctanh(value) + np.array([-reach, reach]))
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True)
class Regression:
    """A score by least squares on statistics of the images, fitted on training images alone."""

    coefficients: Floats
    """``[1 + S]``: the constant, then of every statistic, which is standardised"""
    centre: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    explained: float
    """R² on the images that it was fitted on, in [0, 1]"""
    spread: float
    """of the score"""

    @classmethod
    def of(cls, score: Floats, statistics: Mapping[str, Floats]) -> Regression | None:
        """Fit ``score`` ``[n]``; None with fewer than `LEAST_IMAGES`, or where it is constant."""
        spread = float(score.std())
        if len(score) < LEAST_IMAGES or spread == 0:
            return None
        columns = _columns(statistics)
        centre, scale = columns.mean(axis=0), columns.std(axis=0)
        scale[scale == 0] = 1.0
        design = _design(columns, centre, scale)
        coefficients: Floats = np.linalg.lstsq(design, score, rcond=None)[0]
        left = score - design @ coefficients
        explained = float(np.clip(1 - left.var() / score.var(), 0, 1))
        return cls(coefficients, centre, scale, explained, spread)

    def residual(self, score: Floats, statistics: Mapping[str, Floats]) -> Floats:
        """Return what of ``score`` ``[M]`` the statistics do not tell; rounding counts as equal."""
        design = _design(_columns(statistics), self.centre, self.scale)
        unit = SAME * self.spread
        residual: Floats = np.round((score - design @ self.coefficients) / unit) * unit
        return residual


def _columns(statistics: Mapping[str, Floats]) -> Floats:
    return np.stack([statistics[name] for name in STATISTICS], axis=1)


def _design(columns: Floats, centre: Floats, scale: Floats) -> Floats:
    return np.column_stack([np.ones(len(columns)), (columns - centre) / scale])
