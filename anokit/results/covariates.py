"""How a score goes with covariates, and what is left of it once they are regressed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from anokit.results.metrics import Estimate, Floats, percentile_interval

LEAST_FOR_EACH = 5
"""Training images for each coefficient, below which nothing is regressed."""

ROUNDING = 1e-6
"""Share of a score's largest value below which what a regression leaves is rounding: scores are
float32, whose steps are 1e-7 of a value."""

_CELLS = 1_000_000
"""Entries of one array of resamples × images; a few such arrays are alive at once."""


def rank_correlation(
    a: Floats, b: Floats, *, resamples: int, seed: int, level: float = 0.95
) -> Estimate | None:
    """Return Spearman's rank correlation of ``a`` and ``b`` ``[n]`` with an interval.

    Ties have their mean rank. Interval: percentiles of the bootstrap over images (Efron and
    Tibshirani 1993, chapter 13), ranks being taken anew in every resample. None where either is the
    same throughout, or n < 4.
    """
    if len(a) < 4 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    generator = np.random.default_rng(seed)
    draws, rows = [], max(1, _CELLS // len(a))
    for start in range(0, resamples, rows):
        chosen = generator.integers(0, len(a), (min(rows, resamples - start), len(a)))
        draws.append(_of_ranks(a[chosen], b[chosen]))
    found = float(_of_ranks(a[None], b[None])[0])
    return percentile_interval(found, np.concatenate(draws), level)


def _of_ranks(a: Floats, b: Floats) -> Floats:
    """Return the correlation of the ranks in every row, 0 for equal ones: ``[R, n] -> [R]``."""
    from scipy.stats import rankdata

    one, other = (rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (a, b))
    length = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    found: Floats = (one * other).sum(axis=1) / np.where(length > 0, length, 1.0)
    return found.clip(-1, 1)


@dataclass(frozen=True)
class Regression:
    """A score by linear least squares on covariates, fitted on training images alone."""

    names: tuple[str, ...]
    centre: Floats
    scale: Floats
    coefficients: Floats
    """``[1 + S]``: the constant, then of every covariate, which is standardised"""
    step: float
    """what is left of the score counts as equal within this; above 0"""
    explained: float
    """R² on these images, in [0, 1]"""

    @classmethod
    def of(cls, score: Floats, covariates: Mapping[str, Floats]) -> Regression | None:
        """Fit ``score`` ``[n]``; None where the images are too few or the score is constant.

        A covariate that is constant counts nothing; of collinear ones the shortest solution is
        taken.
        """
        spread = float(score.std())
        if len(score) < LEAST_FOR_EACH * (1 + len(covariates)) or spread == 0:
            return None
        names = tuple(covariates)
        columns = np.stack([covariates[name] for name in names], axis=1)
        centre, scale = columns.mean(axis=0), columns.std(axis=0)
        scale[scale == 0] = np.inf
        design = np.column_stack([np.ones(len(score)), (columns - centre) / scale])
        coefficients = np.linalg.lstsq(design, score, rcond=None)[0]
        left = score - design @ coefficients
        explained = float(np.clip(1 - (left.std() / spread) ** 2, 0, 1))
        step = ROUNDING * float(np.abs(score).max())
        return cls(names, centre, scale, coefficients.astype(np.float64), step, explained)

    def residual(self, score: Floats, covariates: Mapping[str, Floats]) -> Floats:
        """Return what of ``score`` ``[M]`` covariates do not tell; by rounding alone is equal."""
        columns = np.stack([covariates[name] for name in self.names], axis=1)
        design = np.column_stack([np.ones(len(score)), (columns - self.centre) / self.scale])
        left = score - (design * self.coefficients).sum(axis=1)
        whole: Floats = np.round(left / self.step) * self.step
        return whole
