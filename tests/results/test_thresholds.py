"""Thresholds keep the rate that they stand for, and p-values are what they are called."""

import numpy as np
import pytest
from scipy.stats import binomtest, genpareto

from anokit.errors import AnokitError
from anokit.recipe.tables import ThresholdSettings
from anokit.results.thresholds import Calibration, Tail, discoveries


def calibration(scores, **settings):
    return Calibration.of(scores, ThresholdSettings(**settings))


@pytest.mark.parametrize(
    ("count", "rate", "drawn"),
    [(400, 0.05, "normal"), (99, 0.01, "lognormal"), (150, 0.1, "standard_cauchy")],
)
def test_the_promise_holds_on_200_simulated_sets(count, rate, drawn):
    generator = np.random.default_rng(7)
    alarms = drawn_at_all = 0
    for _ in range(200):
        scores = getattr(generator, drawn)(size=count)
        new = getattr(generator, drawn)(size=100)
        found = calibration(scores, false_alarms=rate).judge(new)
        assert np.array_equal(found.flagged, found.p_values <= rate + 1e-9)
        alarms += int(found.flagged.sum())
        drawn_at_all += len(new)
    # Alarms of one set share a threshold, so their number spreads more than a binomial one does.
    spread = np.sqrt(rate * (1 - rate) * (1 / 100 + 1 / count) / 200)
    assert rate - 4 * spread < alarms / drawn_at_all < rate + 3 * spread
    assert binomtest(alarms, drawn_at_all, rate * 0.5, alternative="greater").pvalue < 0.01


def test_few_images_promise_no_less_than_they_can():
    found = calibration(np.arange(9.0), false_alarms=0.01)
    assert found.promised == pytest.approx(0.1)
    assert found.threshold == 8.0


def test_the_threshold_is_the_kth_largest_and_is_to_be_exceeded():
    found = calibration(np.arange(99.0), false_alarms=0.05)
    assert found.threshold == 94.0
    assert found.judge([94.0, 94.5]).flagged.tolist() == [False, True]
    assert found.p_values([94.5]).tolist() == [0.05]


def test_p_values_count_ties_against_an_image():
    found = calibration([1.0, 2.0, 2.0, 3.0], false_alarms=0.5)
    assert found.p_values([0.0, 2.0, 2.5, 4.0]).tolist() == [1.0, 0.8, 0.4, 0.2]
    assert found.own_p_values([1.0, 2.0, 2.0, 3.0]).tolist() == [1.0, 0.75, 0.75, 0.25]


def test_trimming_takes_off_the_highest_and_flags_them():
    scores = np.concatenate([np.arange(90.0), 1000 + np.arange(10.0)])
    plain, trimmed = (calibration(scores, false_alarms=0.05, trim=t) for t in (0.0, 0.1))
    assert plain.threshold == 1005.0
    assert trimmed.threshold == 86.0
    assert trimmed.own_p_values([1009.0]).tolist() == [1 / 91]
    # Four of the 90 that are left, as 5 % of them are, and what was trimmed.
    assert trimmed.judge(scores, own=True).flagged.sum() == 14


@pytest.mark.parametrize(
    ("count", "rate", "flagged"), [(100, 0.05, 5), (99, 0.05, 4), (30, 0.01, 1), (30, 0.05, 1)]
)
def test_of_the_training_images_a_share_is_flagged_as_of_new_ones(count, rate, flagged):
    scores = np.random.default_rng(0).normal(size=count)
    found = calibration(scores, false_alarms=rate).judge(scores, own=True)
    assert found.flagged.sum() == flagged
    assert set(scores[found.flagged]) == set(np.sort(scores)[-flagged:])


def test_trimming_leaves_one():
    assert calibration([1.0, 2.0], trim=0.49).scores.tolist() == [1.0, 2.0]
    assert len(calibration([1.0], trim=0.49).scores) == 1


def test_the_plain_quantile():
    scores = np.random.default_rng(0).normal(size=1000)
    found = calibration(scores, method="quantile", false_alarms=0.02)
    assert np.mean(scores > found.threshold) == pytest.approx(0.02)
    assert found.promised == 0.02


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_the_tail_is_that_of_the_distribution(shape):
    law = genpareto(shape)
    scores = law.rvs(size=20_000, random_state=3)
    found = calibration(scores, method="gpd", false_alarms=1e-4)
    assert found.method == "gpd"
    assert found.promised == 1e-4
    exact = law.ppf(1 - 1e-4)
    assert found.threshold == pytest.approx(exact, rel=0.25)
    start = found.tail.start
    assert found.p_values([exact])[0] == pytest.approx(1e-4, rel=1.0)
    assert found.p_values([found.threshold])[0] == pytest.approx(1e-4, rel=1e-6)
    assert found.p_values([start])[0] == pytest.approx(0.1, rel=0.01)
    grid = np.linspace(start + 1e-6, found.threshold, 50)
    assert (np.diff(found.p_values(grid)) < 0).all()


def test_probability_weighted_moments_by_hand():
    # 300 scores, the highest 30 of which lie 1, 2, …, 30 above the start of the tail: b0 = 15.5,
    # b1 = Σ i(30 − i)/(30·29) = 4495/870, ξ = 2 − 15.5/(15.5 − 2·4495/870).
    scores = np.concatenate([np.zeros(269), [0.0], np.arange(1.0, 31.0)])
    found = Tail.of(scores)
    b1 = 4495 / 870
    assert found.start == pytest.approx(0.1)
    shifted = np.arange(1.0, 31.0) - found.start
    b0, b1 = 15.5 - 0.1, np.sum(shifted * (30 - np.arange(1, 31))) / (30 * 29)
    assert found.shape == pytest.approx(2 - b0 / (b0 - 2 * b1))
    assert found.scale == pytest.approx(2 * b0 * b1 / (b0 - 2 * b1))


@pytest.mark.parametrize("scores", [np.arange(100.0), np.ones(1000)])
def test_a_short_tail_is_judged_by_ranks(scores):
    found = calibration(scores, method="gpd", false_alarms=0.05)
    assert found.method == "conformal"
    assert found.threshold == calibration(scores, false_alarms=0.05).threshold


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(AnokitError, match="finite"):
        calibration([1.0, np.nan])


def test_discoveries_by_hand():
    # Benjamini and Hochberg (1995), their example: 15 p-values, 4 rejected at 0.05.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    shuffled = np.random.default_rng(0).permutation(15)
    found = discoveries(np.array(p)[shuffled], 0.05)
    assert sorted(np.array(p)[shuffled][found]) == p[:4]
    assert discoveries([], 0.05).shape == (0,)
    assert not discoveries([0.5, 0.9], 0.05).any()


def test_no_more_of_the_discoveries_are_false_than_said():
    generator = np.random.default_rng(5)
    shares = []
    for _ in range(200):
        by = calibration(generator.normal(size=500), false_alarms=0.05)
        new = np.concatenate([generator.normal(size=90), generator.normal(4.0, size=10)])
        found = discoveries(by.p_values(new), 0.1)
        shares.append(found[:90].sum() / max(found.sum(), 1))
    assert np.mean(shares) < 0.1 + 3 * np.std(shares) / np.sqrt(200)
    assert np.mean(shares) > 0.03
