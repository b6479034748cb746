"""Planted truth: a score that is contrast loses everything, one that is not keeps what it has."""

from types import SimpleNamespace

import numpy as np
import pytest

from anokit.data import ArraySplit
from anokit.data.sets import ImageTable, RunData, TestSet, TrainingSet, all_rows
from anokit.data.statistics import describe_wholes
from anokit.errors import CheckpointError
from anokit.results.explaining import Explainer, Regression, Values, rank_correlation
from anokit.results.metrics import measure
from anokit.types import ImageSpec

TRAIN, TEST = 300, 200


def drawn(generator, contrast):
    """Draw noise of given contrasts ``[N]`` about random means: uint8 ``[N, 1, 8, 8]``."""
    noise = generator.normal(0, 1, (len(contrast), 1, 8, 8))
    mean = generator.normal(128, 8, (len(contrast), 1, 1, 1))
    return np.clip(mean + contrast[:, None, None, None] * noise, 0, 255).astype(np.uint8)


def data_of(train, test, labels, parents=None):
    ids = [f"test/{row}" for row in range(len(test))]
    split = ArraySplit(test, ids, labels=labels)
    names = [f"train/{row}" for row in range(len(train))]
    return RunData(
        spec=ImageSpec(1, 8, 8),
        train=TrainingSet(ImageTable([train]), names, np.zeros(len(train), bool), None, parents),
        test=TestSet(ImageTable([test]), ids, labels, None, split, all_rows(len(test))),
        protocol="planted",
        notices=(),
        simulated=False,
        fingerprint="",
    )


@pytest.fixture(scope="module")
def planted():
    """Images whose anomalies have less contrast, and what is known of them."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], TEST // 2)
    train = drawn(generator, generator.uniform(15, 35, TRAIN))
    test = drawn(generator, generator.uniform(15, 35, TEST) - 6 * labels)
    data = data_of(train, test, labels)
    tables = [describe_wholes(part.images, part.wholes) for part in (data.train, data.test)]
    return SimpleNamespace(
        data=data,
        labels=labels,
        train=tables[0],
        test=tables[1],
        draw=np.random.default_rng(1).normal,
    )


def explainer(planted, **changes):
    data = changes.get("data", planted.data)
    return Explainer(data, data.train.wholes.ids, resamples=200, seed=0)


def explain(planted, training, test, rescore=None):
    found = measure(planted.labels, test, None, resamples=200)
    values = {"mine": Values(training, test, found.auroc)}
    (explanation,) = explainer(planted).explain(values, rescore)
    return explanation


def contrast_of(copies):
    """Return the contrast of copies, negated: a score that is nothing else."""
    values = copies.read(all_rows(len(copies))).double().flatten(1)
    return {"mine": -values.std(dim=1, correction=0).numpy()}


def test_a_score_that_is_contrast_loses_everything(planted):
    found = explain(planted, -planted.train["contrast"], -planted.test["contrast"], contrast_of)
    assert found.auroc.low > 0.6
    assert found.explained == pytest.approx(1)
    assert vars(found.regressed.auroc) == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found.regressed.change.value == pytest.approx(0.5 - found.auroc.value)
    equal = {copies.statistic: copies for copies in found.copies}
    assert set(equal) == {"contrast", "gradient"}
    assert abs(equal["contrast"].auroc.value - 0.5) < 0.1
    assert equal["contrast"].missed < 0.02
    assert found.leading.statistic == "contrast"
    assert found.leading.correlation.value == -1
    assert found.leading.auroc.value == pytest.approx(found.auroc.value)
    assert found.sentence.startswith(
        "Most of the cue of mine is contrast, gradient and brightness, above all contrast: without "
        "them nothing resolved remains"
    )


def test_a_score_that_is_independent_of_contrast_keeps_what_it_has(planted):
    noise = np.random.default_rng(2).normal
    training, test = noise(0, 1, TRAIN), noise(0, 1, TEST) + 1.5 * planted.labels
    found = explain(planted, training, test, lambda copies: {"mine": test})
    assert found.auroc.low > 0.7
    assert found.explained < 0.05
    assert abs(found.regressed.change.value) < 0.03
    assert all(copies.change.value == 0 for copies in found.copies)
    assert "The cue of mine remains without contrast, gradient and brightness" in found.sentence


def test_of_a_mixture_what_remains_is_told_apart(planted):
    noise = np.random.default_rng(3).normal
    training = noise(0, 1, TRAIN) - 0.5 * planted.train["contrast"]
    test = noise(0, 1, TEST) + planted.labels - 0.5 * planted.test["contrast"]
    found = explain(planted, training, test)
    assert found.regressed.auroc.low > 0.5
    assert found.regressed.change.high < 0
    assert "what remains without them is resolved" in found.sentence


def test_the_regression_is_fitted_on_training_images_alone(planted):
    training, test = -planted.train["contrast"], -planted.test["contrast"] + 5 * planted.labels
    once = Regression.of(training, planted.train).residual(test, planted.test)
    half = {name: column[:50] for name, column in planted.test.items()}
    again = Regression.of(training, planted.train).residual(test[:50], half)
    assert np.array_equal(once[:50], again)
    assert once == pytest.approx(5 * planted.labels, abs=1e-6)


def test_without_labels_correlations_alone_are_told(planted):
    data = data_of(planted.data.train.images.parts[0].images, np.zeros((2, 1, 8, 8), "u1"), None)
    values = {"mine": Values(-planted.train["contrast"], np.zeros(2), None)}
    (found,) = explainer(planted, data=data).explain(values, contrast_of)
    assert (found.auroc, found.regressed, found.copies) == (None, None, [])
    assert [one.auroc for one in found.statistics] == [None] * 3
    assert found.sentence == (
        "On training images mine strongly falls with contrast (rank correlation -1.000 [-1.000, "
        "-1.000]); what that says of anomalies only labels can tell."
    )


def test_a_score_that_is_the_same_for_all_is_said_to_be(planted):
    values = {"mine": Values(np.ones(TRAIN), None, None)}
    (found,) = explainer(planted).explain(values)
    assert [one.correlation for one in found.statistics] == [None] * 3
    assert found.explained is None
    assert "the same for all" in found.sentence


def test_tiles_count_as_what_they_are_of(planted):
    train = planted.data.train.images.parts[0].images
    parents = [f"photo/{row // 3}" for row in range(TRAIN)]
    data = data_of(train, train[:2], None, parents)
    found = explainer(planted, data=data).training["contrast"]
    means = train.reshape(TRAIN, -1).std(axis=1).reshape(-1, 3).mean(axis=1)
    assert found == pytest.approx(means)


def test_training_images_are_found_by_name(planted):
    names = [f"train/{row}" for row in (7, 3)]
    found = Explainer(planted.data, names, resamples=1, seed=0).training["contrast"]
    assert found == pytest.approx(planted.train["contrast"][[7, 3]])
    with pytest.raises(CheckpointError, match="its images are not those of the training set"):
        Explainer(planted.data, ["elsewhere"], resamples=1, seed=0)


@pytest.mark.parametrize("truth", [0.0, 0.5, -0.8])
def test_the_interval_of_a_correlation_covers_as_often_as_it_says(truth):
    generator = np.random.default_rng(0)
    # Of a normal pair, Spearman's is 6/π·asin(r/2) (Pearson 1907).
    spearman = 6 / np.pi * np.arcsin(truth / 2)
    pairs = generator.multivariate_normal([0, 0], [[1, truth], [truth, 1]], (400, 60))
    found = [rank_correlation(pair[:, 0], pair[:, 1]) for pair in pairs]
    covered = np.mean([one.low <= spearman <= one.high for one in found])
    assert 0.92 <= covered <= 0.98


def test_a_correlation_needs_a_spread_and_images():
    assert rank_correlation(np.arange(9.0), np.ones(9)) is None
    assert rank_correlation(np.arange(3.0), np.arange(3.0)) is None
    assert rank_correlation(np.arange(9.0), -np.arange(9.0)).low == -1
