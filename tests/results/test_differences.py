"""Differences of AUROC on the same images: DeLong, paired bootstrap, seeds, Holm."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anokit.results.differences import Scores, delong, difference, holm


def scores(generator, quality, seed=0, normal=60, anomalous=40, noise=None, ids=None):
    """Draw the scores of a run; ``noise`` is what several runs share of an image's score."""
    labels = np.r_[np.zeros(normal, int), np.ones(anomalous, int)]
    own = generator.normal(size=len(labels))
    values = quality * labels + (own if noise is None else 0.4 * own + noise)
    names = tuple(f"i{n}" for n in range(len(labels))) if ids is None else ids
    return Scores(seed, names, labels, values)


def by_hand(first, second):
    """DeLong's estimate written out as its paper has it: means over pairs of images."""
    parts = []
    for run in (first, second):
        x, y = run.values[run.labels == 1], run.values[run.labels == 0]
        wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    m, n = len(parts[0][0]), len(parts[0][1])
    s10 = np.cov(parts[0][0], parts[1][0])
    s01 = np.cov(parts[0][1], parts[1][1])
    total = s10 / m + s01 / n
    contrast = np.array([-1.0, 1.0])
    return parts[1][0].mean() - parts[0][0].mean(), np.sqrt(contrast @ total @ contrast)


@pytest.mark.parametrize("ties", [False, True])
def test_delong_is_what_its_paper_says(ties):
    generator = np.random.default_rng(1)
    pair = [scores(generator, quality) for quality in (0.5, 1.0)]
    if ties:
        pair = [Scores(0, run.ids, run.labels, np.round(run.values)) for run in pair]
    value, error = delong(*pair)
    expected = by_hand(*pair)
    assert value == pytest.approx(expected[0])
    assert error == pytest.approx(expected[1])
    assert value == pytest.approx(
        roc_auc_score(pair[1].labels, pair[1].values)
        - roc_auc_score(pair[0].labels, pair[0].values)
    )


def test_the_paired_interval_agrees_with_delong_and_is_narrower_than_an_unpaired_one():
    generator = np.random.default_rng(2)
    noise = generator.normal(size=100)
    pair = [scores(generator, quality, noise=noise) for quality in (0.8, 1.0)]
    found = difference([pair[0]], [pair[1]], resamples=4000)
    _, error = delong(*pair)
    width = (found.auroc.high - found.auroc.low) / (2 * 1.96)
    assert width == pytest.approx(error, rel=0.15)
    assert found.test == "DeLong"
    alone = [scores(generator, quality) for quality in (0.8, 1.0)]
    assert width < 0.7 * delong(*alone)[1]


def test_the_order_of_the_images_does_not_matter():
    generator = np.random.default_rng(3)
    first, second = (scores(generator, quality) for quality in (0.5, 1.0))
    order = generator.permutation(100)
    mixed = Scores(
        0, tuple(second.ids[at] for at in order), second.labels[order], second.values[order]
    )
    one = difference([first], [second], resamples=500)
    other = difference([first], [mixed], resamples=500)
    assert one.auroc == other.auroc


def test_a_run_does_not_differ_from_itself():
    run = scores(np.random.default_rng(4), 1.0)
    found = difference([run], [run], resamples=200)
    assert (found.auroc.value, found.auroc.low, found.auroc.high, found.p) == (0, 0, 0, 1)


def test_perfect_scores_differ_from_chance_beyond_doubt():
    labels = np.r_[np.zeros(50, int), np.ones(50, int)]
    ids = tuple(map(str, range(100)))
    perfect = Scores(0, ids, labels, labels.astype(float))
    chance = Scores(0, ids, labels, np.tile([0.0, 1.0], 50))
    found = difference([chance], [perfect], resamples=500)
    assert found.auroc.value == pytest.approx(0.5)
    assert found.auroc.low > 0.3
    assert found.p < 1e-6


def test_seeds_widen_the_interval_and_stay_together_where_they_can():
    generator = np.random.default_rng(5)
    shift = (0.0, 0.6, 1.2)  # what a seed is worth, the same for both systems
    noise = generator.normal(size=100)
    first = [scores(generator, 0.3 + more, seed, noise=noise) for seed, more in enumerate(shift)]
    second = [scores(generator, 0.8 + more, seed, noise=noise) for seed, more in enumerate(shift)]
    together = difference(first, second, resamples=2000)
    assert together.paired_seeds
    assert together.test == "bootstrap over seeds and images"
    others = [Scores(run.seed + 9, run.ids, run.labels, run.values) for run in second]
    apart = difference(first, others, resamples=2000)
    assert not apart.paired_seeds
    assert apart.auroc.value == together.auroc.value
    assert apart.auroc.high - apart.auroc.low > 1.3 * (together.auroc.high - together.auroc.low)
    alone = difference(first[:1], second[:1], resamples=2000)
    assert not alone.paired_seeds


def test_images_that_seeds_share_are_resampled_once_for_all():
    """Five runs with equal scores know no more of the images than one."""
    generator = np.random.default_rng(6)
    one, other = scores(generator, 0.5), scores(generator, 1.0)
    copies = [
        [Scores(seed, run.ids, run.labels, run.values) for seed in range(5)] for run in (one, other)
    ]
    single = difference([one], [other], resamples=3000).auroc
    several = difference(*copies, resamples=3000).auroc
    assert several.high - several.low == pytest.approx(single.high - single.low, rel=0.1)


def test_test_sets_of_their_own_are_resampled_each_for_itself():
    generator = np.random.default_rng(7)
    first, second = [], []
    for seed in range(20):
        ids = tuple(f"{seed}/{n}" for n in range(100))
        first.append(scores(generator, 0.8, seed, ids=ids))
        second.append(scores(generator, 0.8, seed, ids=ids))
    single = difference(first[:1], second[:1], resamples=500).auroc
    several = difference(first, second, resamples=500).auroc
    assert several.high - several.low < 0.6 * (single.high - single.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for trial in range(100):
        generator = np.random.default_rng(100 + trial)
        pair = [scores(generator, 0.7, normal=60, anomalous=60) for _ in range(2)]
        found = difference([pair[0]], [pair[1]], resamples=200).auroc
        held += found.low <= 0 <= found.high
    assert 88 <= held <= 99


def test_holm_steps_down_and_never_decreases():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5]) == [0.5]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
