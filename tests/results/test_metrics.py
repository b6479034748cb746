"""Metrics agree with scikit-learn, resampling with repeated images, and bad input is named."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from anokit.errors import AnokitError
from anokit.results.metrics import (
    Estimate,
    _resampled,
    _weighted_metrics,
    auroc_by_kind,
    auroc_over_lambda,
    measure,
    rates,
)
from anokit.results.pixel_metrics import aupro, pixel_auroc

NAMES = ["auroc", "ap", "fpr95", "f1", "f1_max"]


def tied_data(seed, count=60):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    scores = np.round(generator.normal(size=count) + labels, 1)
    return labels.astype(int), scores


def sklearn_metrics(labels, scores, threshold, weight=None):
    fpr, tpr, _ = roc_curve(labels, scores, sample_weight=weight, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weight)
    return {
        "auroc": roc_auc_score(labels, scores, sample_weight=weight),
        "ap": average_precision_score(labels, scores, sample_weight=weight),
        "fpr95": fpr[np.argmax(tpr >= 0.95 - 1e-9)],
        "f1": f1_score(labels, scores > threshold, sample_weight=weight, zero_division=0.0),
        "f1_max": np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)),
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [-100.0, 0.3, 100.0])
def test_weights_mean_what_sample_weight_means_to_sklearn(seed, threshold):
    labels, scores = tied_data(seed)
    weight = np.random.default_rng(seed).integers(0, 4, len(labels)).astype(float)
    levels, group = np.unique(-scores, return_inverse=True)
    tables = [
        np.bincount(group, weights=weight * (labels == kind), minlength=len(levels))[None]
        for kind in (1, 0)
    ]
    above = int(np.sum(-levels > threshold))
    found = _weighted_metrics(*tables, above)
    expected = sklearn_metrics(labels, scores, threshold, weight)
    assert {name: values[0] for name, values in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_point_values_are_those_of_sklearn(seed):
    labels, scores = tied_data(seed)
    found = measure(labels, scores, 0.3, resamples=10)
    expected = sklearn_metrics(labels, scores, 0.3)
    assert {name: getattr(found, name).value for name in NAMES} == pytest.approx(expected)


def test_each_resample_keeps_the_number_of_images():
    group = np.array([0, 0, 1, 3])
    counts = _resampled(group, 5, 20, np.random.default_rng(0))
    assert counts.shape == (20, 5)
    assert (counts.sum(axis=1) == 4).all()
    assert not counts[:, [2, 4]].any()
    assert len(np.unique(counts, axis=0)) > 1


def test_interval_agrees_with_resampling_images_by_hand():
    labels, scores = tied_data(0, 300)
    found = measure(labels, scores, 0.3, resamples=2000, level=0.5)
    generator = np.random.default_rng(1)
    strata = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    draws = []
    for _ in range(200):
        rows = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        draws.append(sklearn_metrics(labels[rows], scores[rows], 0.3))
    for name in NAMES:
        low, high = np.quantile([draw[name] for draw in draws], [0.25, 0.75])
        estimate = getattr(found, name)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.02)


def test_chunks_cover_all_resamples(monkeypatch):
    labels, scores = tied_data(0)
    monkeypatch.setattr("anokit.results.metrics._CELLS", 7 * len(labels))
    sizes = []
    metrics = _weighted_metrics

    def record(positive, negative, above):
        sizes.append(len(positive))
        return metrics(positive, negative, above)

    monkeypatch.setattr("anokit.results.metrics._weighted_metrics", record)
    measure(labels, scores, 0.3, resamples=30)
    assert sizes == [7, 7, 7, 7, 2]


def test_intervals_shrink_with_the_test_set_and_repeat_with_the_seed():
    small = measure(*tied_data(0, 60), None)
    large = measure(*tied_data(0, 3000), None)
    assert large.auroc.high - large.auroc.low < (small.auroc.high - small.auroc.low) / 3
    assert small == measure(*tied_data(0, 60), None)
    assert small != measure(*tied_data(0, 60), None, seed=1)


def test_metrics_are_in_range_and_ordered():
    found = measure(*tied_data(2), 0.3)
    for name in NAMES:
        estimate = getattr(found, name)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert found.f1.value <= found.f1_max.value


def test_auroc_ignores_monotone_maps_and_turns_with_the_sign():
    labels, scores = tied_data(3)
    one = measure(labels, scores, None).auroc.value
    assert measure(labels, np.exp(scores), None).auroc.value == pytest.approx(one)
    assert measure(labels, -scores, None).auroc.value == pytest.approx(1 - one)


def test_perfect_separation():
    found = measure(np.repeat([0, 1], 20), np.arange(40), 19.0)
    one, zero = Estimate(1.0, 1.0, 1.0), Estimate(0.0, 0.0, 0.0)
    assert dataclasses.astuple(found) == tuple(
        dataclasses.astuple(value) for value in (one, one, zero, one, one)
    )


def test_an_image_at_the_threshold_is_not_flagged():
    assert measure([0, 1], [1.0, 2.0], 1.0).f1.value == 1.0
    assert measure([0, 1], [1.0, 2.0], 2.0).f1.value == 0.0


def test_no_threshold_no_f1():
    assert measure([0, 1], [1.0, 2.0], None).f1 is None


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_one_class_or_none_has_no_metrics(labels):
    scores = np.arange(len(labels), dtype=float)
    assert measure(labels, scores, 0.5) is None
    assert auroc_by_kind(labels, scores, ["a"] * len(labels)) == {}
    assert np.isnan(auroc_over_lambda(labels, scores, scores, [0.0, 1.0])).all()


def test_scores_that_are_not_finite_are_counted():
    with pytest.raises(AnokitError, match=r"2 of 4 scores are not finite \(1 NaN\)"):
        measure([0, 1, 0, 1], [np.nan, 1.0, np.inf, 2.0], None)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [1.0], r"got shapes \[2\] and \[1\]"),
        ([0, 1, -1], [1.0, 2.0, 3.0], r"got \[-1, 0, 1\]"),
    ],
)
def test_bad_labels_are_named(labels, scores, message):
    with pytest.raises(AnokitError, match=message):
        measure(labels, scores, None)


def test_ends_of_the_lambda_curve_are_the_two_scores():
    labels, a = tied_data(0)
    b = np.random.default_rng(9).normal(size=len(a))
    curve = auroc_over_lambda(labels, a, b, [0.0, 0.5, 1.0])
    expected = [roc_auc_score(labels, x) for x in (b, a / 2 + b / 2, a)]
    assert curve == pytest.approx(expected)


def test_kinds_are_each_held_against_all_normal_images():
    kinds = ["good", "good", "scratch", "hole", "hole"]
    found = auroc_by_kind([0, 0, 1, 1, 1], [1.0, 2.0, 1.5, 3.0, 4.0], kinds)
    assert found == {"scratch": 0.5, "hole": 1.0}


@pytest.mark.parametrize(
    ("labels", "scores", "fpr", "low", "high"),
    [
        # Clopper and Pearson (1934); the bounds are from R's binom.test.
        ([0] * 10, [0.0] * 9 + [2.0], 0.1, 0.002528579, 0.445016117),
        ([0] * 20, [0.0] * 20, 0.0, 0.0, 0.16843347),
    ],
)
def test_rates_have_exact_binomial_intervals(labels, scores, fpr, low, high):
    found = rates(np.array(labels), np.array(scores), 1.0)
    assert set(found) == {"fpr"}
    assert found["fpr"].value == pytest.approx(fpr)
    assert (found["fpr"].low, found["fpr"].high) == pytest.approx((low, high), abs=1e-8)


def test_a_score_at_the_threshold_is_not_flagged():
    found = rates(np.array([0, 0, 1, 1]), np.array([1.0, 1.5, 1.0, 3.0]), 1.0)
    assert (found["fpr"].value, found["tpr"].value) == (0.5, 0.5)


def pixel_data(distinct, seed=0, side=40):
    generator = np.random.default_rng(seed)
    masks = np.zeros((6, side, side), dtype=bool)
    masks[:3, 4:12, 4:20] = True
    masks[:2, 30:33, 30:32] = True
    maps = generator.normal(size=masks.shape) + masks
    if distinct:
        maps = np.round(maps, 1)
    return maps.astype(np.float32), masks


def aupro_by_hand(maps, masks, limit):
    from scipy.ndimage import label

    regions = []
    for image, mask in zip(maps, masks, strict=True):
        found, count = label(mask, structure=np.ones((3, 3)))
        regions += [image[found == i] for i in range(1, count + 1)]
    thresholds = np.unique(maps)[::-1]
    fpr = [0.0, *(np.mean(maps[~masks] >= t) for t in thresholds)]
    pro = [0.0, *(np.mean([np.mean(region >= t) for region in regions]) for t in thresholds)]
    grid = np.union1d(fpr, [limit])
    grid = grid[grid <= limit]
    order = np.lexsort((pro, fpr))
    return np.trapezoid(np.interp(grid, np.array(fpr)[order], np.array(pro)[order]), grid) / limit


def test_pixel_auroc_is_exact_on_few_levels_and_close_on_many():
    maps, masks = pixel_data(distinct=True)
    exact = roc_auc_score(masks.ravel(), maps.ravel())
    assert pixel_auroc(maps, masks, resamples=5).value == pytest.approx(exact, abs=1e-12)
    maps, masks = pixel_data(distinct=False)
    exact = roc_auc_score(masks.ravel(), maps.ravel())
    assert pixel_auroc(maps, masks, resamples=5).value == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_is_the_area_under_the_region_curve(limit):
    maps, masks = pixel_data(distinct=True)
    expected = aupro_by_hand(maps, masks, limit)
    assert aupro(maps, masks, limit, resamples=5).value == pytest.approx(expected, abs=1e-9)


def test_aupro_weighs_small_regions_like_large_ones():
    masks = np.zeros((1, 20, 20), dtype=bool)
    masks[0, :10, :10] = masks[0, 15, 15] = True
    found = np.where(masks, 0.0, 0.5)
    found[0, 15, 15] = 1.0
    assert aupro(found, masks, resamples=5).value == pytest.approx(0.5)


def test_perfect_maps_score_one_with_a_closed_interval():
    _, masks = pixel_data(distinct=True)
    for metric in (pixel_auroc, aupro):
        found = metric(masks.astype(float), masks, resamples=5)
        assert dataclasses.astuple(found) == pytest.approx((1.0, 1.0, 1.0))


def test_pixel_interval_spreads_over_images():
    found = pixel_auroc(*pixel_data(distinct=False))
    assert found.low < found.value < found.high


def test_pixels_of_one_class_have_no_metric():
    maps, masks = pixel_data(distinct=True)
    assert pixel_auroc(maps, np.zeros_like(masks)) is None
    assert aupro(maps, np.ones_like(masks)) is None


def test_bad_maps_are_named():
    maps, masks = pixel_data(distinct=True)
    with pytest.raises(AnokitError, match=r"got \[6, 40, 40\] and \[5, 40, 40\]"):
        pixel_auroc(maps, masks[:5])
    with pytest.raises(AnokitError, match="limit"):
        aupro(maps, masks, 0.0)
    maps[0, 0, :3] = np.nan
    with pytest.raises(AnokitError, match="3 of 9600 pixels of the maps"):
        pixel_auroc(maps, masks)


def test_estimate_prints_its_interval():
    assert str(Estimate(0.9123, 0.8931, 0.9299)) == "0.912 [0.893, 0.930]"
