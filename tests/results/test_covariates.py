"""Correlations cover the truth as often as they say; a regression takes off what it may."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from anokit.results.covariates import Regression, rank_correlation


@pytest.mark.parametrize("truth", [0.0, 0.5, -0.8])
def test_the_interval_of_a_correlation_covers_as_often_as_it_says(truth):
    generator = np.random.default_rng(0)
    # Of a normal pair, Spearman's is 6/π·asin(r/2) (Pearson 1907).
    spearman = 6 / np.pi * np.arcsin(truth / 2)
    pairs = generator.multivariate_normal([0, 0], [[1, truth], [truth, 1]], (150, 100))
    found = [rank_correlation(pair[:, 0], pair[:, 1], resamples=200, seed=1) for pair in pairs]
    covered = np.mean([one.low <= spearman <= one.high for one in found])
    assert 0.89 <= covered <= 0.99


def test_a_correlation_is_spearmans_with_ties():
    generator = np.random.default_rng(0)
    a = generator.integers(0, 5, 80).astype(float)
    b = a + generator.integers(0, 9, 80)
    found = rank_correlation(a, b, resamples=100, seed=0)
    assert found.value == pytest.approx(spearmanr(a, b).statistic)
    assert found.low < found.value < found.high


def test_a_correlation_needs_a_spread_and_images():
    some = {"resamples": 20, "seed": 0}
    assert rank_correlation(np.arange(9.0), np.ones(9), **some) is None
    assert rank_correlation(np.arange(3.0), np.arange(3.0), **some) is None
    found = rank_correlation(np.arange(9.0), -(np.arange(9.0) ** 3), **some)
    assert (found.value, found.high) == pytest.approx((-1, -1))


def test_many_resamples_are_drawn_in_parts(monkeypatch):
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 50))
    whole = rank_correlation(a, b, resamples=90, seed=0)
    monkeypatch.setattr("anokit.results.covariates._CELLS", 500)
    assert rank_correlation(a, b, resamples=90, seed=0) == whole


def test_a_regression_takes_off_what_is_linear_and_leaves_the_rest():
    generator = np.random.default_rng(0)
    columns = {name: generator.normal(5, 2, 200) for name in ("one", "other")}
    fit = Regression.of(3 * columns["one"] - columns["other"] + 7, columns)
    assert fit.explained == pytest.approx(1)
    new = {name: generator.normal(0, 9, 30) for name in columns}
    own = generator.normal(0, 1, 30)
    left = fit.residual(3 * new["one"] - new["other"] + 7 + own, new)
    assert left == pytest.approx(own, abs=1e-4)


def test_a_constant_covariate_counts_nothing():
    generator = np.random.default_rng(0)
    column = generator.normal(0, 1, 100)
    fit = Regression.of(2 * column, {"flat": np.full(100, 3.0), "mine": column})
    left = fit.residual(np.array([2.0, 4.0]), {"flat": np.array([0, 99]), "mine": np.ones(2)})
    assert left == pytest.approx([0, 2])


def test_what_rounding_of_float32_leaves_is_equal():
    column = np.random.default_rng(0).normal(50, 10, 100)
    score = (column / 127.5 - 1).astype(np.float32).astype(np.float64)
    fit = Regression.of(score, {"mine": column})
    assert np.unique(fit.residual(score, {"mine": column})).tolist() == [0.0]
    assert np.unique(fit.residual(score + 1e-4 * (column > 50), {"mine": column})).size == 2


@pytest.mark.parametrize("score", [np.ones(100), np.arange(9.0)])
def test_without_a_spread_or_with_too_few_images_nothing_is_fitted(score):
    assert Regression.of(score, {"one": np.arange(len(score)), "two": np.ones(len(score))}) is None
