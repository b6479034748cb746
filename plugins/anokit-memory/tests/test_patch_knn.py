"""Memories of patches: which are kept, by which weight they count, and the two metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import LocalOutlierFactor

from anokit.errors import DataError
from anokit_memory import room
from anokit_memory.choosing import WIDTH, k_centre, projected, weights


def draw(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def patches_of(trip) -> torch.Tensor:
    return trip.patches.movedim(1, -1).flatten(0, 2)


def fitted(build, train, **options):
    score = build("patch-knn", **options)
    score.fit([train.map(lambda t: t[:7]), train.map(lambda t: t[7:])])
    return score


def cosines(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    normal = torch.nn.functional.normalize
    return 1 - normal(a.double()) @ normal(b.double()).T


@pytest.mark.parametrize("k", [1, 3])
def test_score_and_map_have_metrics_of_their_own(build, make_trip, k):
    train, test = make_trip(20), make_trip(4, 1, size=3)
    score = fitted(build, train, k=k)
    rows, memory = patches_of(test), patches_of(train)
    angle = cosines(rows, memory).sort(dim=1).values[:, :k].mean(dim=1).reshape(4, 9)
    plain = torch.cdist(rows, memory).sort(dim=1).values[:, :k].mean(dim=1).reshape(4, 3, 3)
    torch.testing.assert_close(score(test), angle.amax(dim=1).float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(score.map(test), plain, rtol=1e-5, atol=1e-6)
    mean = fitted(build, train, k=k, patch_score="mean")
    torch.testing.assert_close(mean(test), angle.mean(dim=1).float(), rtol=1e-5, atol=1e-6)


def test_no_bit_depends_on_the_batch(build, make_trip):
    trip = make_trip(5)
    score = fitted(build, make_trip(20), weighting="lof")
    for call in (score, score.map):
        alone = [call(trip.map(lambda t, row=row: t[[row]])) for row in range(5)]
        assert torch.equal(torch.cat(alone), call(trip))


def test_a_random_memory_is_a_seeded_subset_whatever_the_batches(build, make_trip):
    train = make_trip(20)
    first = fitted(build, train, memory_size=30).detector.memory
    again = build("patch-knn", memory_size=30)
    again.fit([train.map(lambda t, row=row: t[[row]]) for row in range(20)])
    assert first.shape == (30, 4)
    assert torch.equal(again.detector.memory, first)
    assert not torch.equal(fitted(build, train, memory_size=30, seed=1).detector.memory, first)
    assert ((first[:, None] == patches_of(train)).all(dim=2).sum(dim=1) == 1).all()


def test_k_centre_is_greedy():
    rows = draw(80, 5)
    start = int(torch.randint(80, (1,), generator=torch.Generator().manual_seed(3)))
    chosen = [start]
    while len(chosen) < 12:
        chosen.append(int(torch.cdist(rows, rows[chosen]).amin(dim=1).argmax()))
    assert k_centre(rows, 12, 3).tolist() == sorted(chosen)


def test_k_centre_takes_no_row_twice_also_among_copies():
    rows = draw(3, 5).repeat(10, 1)
    chosen = k_centre(rows, 20, 0)
    assert len(set(chosen.tolist())) == 20
    assert len(rows[k_centre(rows, 3, 0)].unique(dim=0)) == 3
    assert k_centre(rows, 40, 0).tolist() == list(range(30))


@pytest.mark.parametrize(("metric", "distance"), [("cosine", cosines), ("euclidean", torch.cdist)])
def test_k_centre_covers_better_than_chance(build, make_trip, metric, distance):
    train = make_trip(60)
    every = patches_of(train)
    radius = {
        how: float(
            distance(
                every,
                fitted(build, train, memory=how, memory_size=40, metric=metric).detector.memory,
            )
            .amin(dim=1)
            .max()
        )
        for how in ("random", "k-centre")
    }
    assert radius["k-centre"] < 0.9 * radius["random"]


def test_projections_keep_distances_on_average():
    rows = draw(60, 700)
    short = projected(rows, 0)
    assert short.shape == (60, WIDTH)
    ratio = torch.cdist(short, short)[0, 1:] / torch.cdist(rows, rows)[0, 1:]
    assert 0.9 < float(ratio.mean()) < 1.1
    assert torch.equal(projected(rows[:, :WIDTH], 0), rows[:, :WIDTH])


@pytest.mark.parametrize("k", [1, 5])
def test_the_local_outlier_factor_is_that_of_scikit_learn(k):
    rows = torch.cat([draw(60, 6), 4 + 0.1 * draw(9, 6, 1), draw(1, 6) + 9])
    expected = -LocalOutlierFactor(n_neighbors=k).fit(rows.numpy()).negative_outlier_factor_
    np.testing.assert_allclose(weights(rows, "lof", k), expected, rtol=1e-5)


def test_weights_by_the_nearest_and_by_a_gaussian():
    rows = draw(40, 3)
    away = torch.cdist(rows.double(), rows.double()) + 1e9 * torch.eye(40)
    torch.testing.assert_close(weights(rows, "nearest", 5), 1 + away.amin(dim=1))
    covariance = torch.from_numpy(np.cov(rows.double().numpy().T)) + 0.01 * torch.eye(3)
    centred = rows.double() - rows.double().mean(dim=0)
    squares = (centred @ torch.linalg.inv(covariance) * centred).sum(dim=1)
    torch.testing.assert_close(weights(rows, "gaussian", 5), 1 + squares.sqrt())


@pytest.mark.parametrize("how", ["lof", "nearest", "gaussian"])
def test_weights_of_equal_rows_are_one(how):
    assert torch.equal(weights(torch.ones(9, 3), how, 5), torch.ones(9, dtype=torch.float64))


@pytest.mark.parametrize("memory", ["random", "k-centre"])
@pytest.mark.parametrize("weighting", ["lof", "nearest", "gaussian"])
@pytest.mark.parametrize("aligned", [True, False])
def test_what_is_odd_at_its_position_is_dropped(build, make_trip, memory, weighting, aligned):
    train = make_trip(40)
    train.patches[3, :, 1, 2] = 9.0
    options = {"memory": memory, "memory_size": 200, "aligned": aligned, "metric": "euclidean"}
    odd = torch.full((4,), 9.0)

    def holds(**more) -> bool:
        kept = fitted(build, train, **options, **more).detector.memory
        return bool((kept == odd).all(dim=1).any())

    assert not holds(weighting=weighting)
    assert not holds(weighting=weighting, drop=1 / 360)
    if memory == "k-centre":  # which keeps what is odd
        assert holds()
        assert holds(weighting=weighting, drop=0.0)


def test_the_aligned_weight_asks_for_the_position_and_the_other_does_not(build, make_trip):
    train = make_trip(40)
    train.patches[:] = 0.01 * train.patches
    train.patches[:, 0, 0, :] += 5  # normal in the first row alone
    train.patches[3, 0, 2, 2] += 5
    odd = train.patches[3, :, 2, 2]
    for aligned, kept in ((True, False), (False, True)):
        score = fitted(build, train, weighting="nearest", drop=0.1, aligned=aligned)
        assert bool((score.detector.memory == odd).all(dim=1).any()) == kept


def test_soft_multiplies_by_the_weight_of_the_nearest(build, make_trip):
    train, test = make_trip(30), make_trip(3, 1, size=3)
    soft, hard = (
        fitted(build, train, weighting="lof", soft=soft, patch_score="mean", metric="euclidean")
        for soft in (True, False)
    )
    assert torch.equal(soft.detector.memory, hard.detector.memory)
    assert torch.equal(hard.detector.weights, torch.ones(len(hard.detector.memory)))
    nearest = torch.cdist(patches_of(test), soft.detector.memory).argmin(dim=1)
    factors = soft.detector.weights[nearest].reshape(3, 3, 3)
    torch.testing.assert_close(soft.map(test), hard.map(test) * factors)
    position = weights(train.patches[:, :, 0, 0], "lof", 5)
    row = (soft.detector.memory == train.patches[0, :, 0, 0]).all(dim=1).nonzero()[0, 0]
    torch.testing.assert_close(soft.detector.weights[row], position[0].float())


def test_weighed_patches_are_the_same_whatever_the_batches(build, make_trip):
    train = make_trip(30)
    first = fitted(build, train, weighting="lof", memory_size=50).detector
    again = build("patch-knn", weighting="lof", memory_size=50)
    again.fit([train.map(lambda t, row=row: t[[row]]) for row in range(30)])
    assert len(first.memory) == 50
    assert torch.equal(again.detector.memory, first.memory)
    assert torch.equal(again.detector.weights, first.weights)


@pytest.mark.parametrize("options", [{}, {"weighting": "lof"}])
def test_a_memory_that_does_not_fit_is_refused_before_fitting(
    monkeypatch, build, make_trip, options
):
    monkeypatch.setattr(room, "available_bytes", lambda device: 2**20)
    score = build("patch-knn", memory_size=50_000, max_patches=50_000, **options)
    message = (
        r"a memory of up to 50000 patches of 4 values takes 0.0 GiB, and 0.0 GiB .*memory_size"
    )
    with pytest.raises(DataError, match=message):
        score.fit([make_trip(10)])
    assert not score.detector.memory.numel()
    fitted(build, make_trip(10), memory_size=100, max_patches=100, **options)


def test_what_cannot_be_fitted_is_refused(build, make_trip):
    cases = [
        ({"k": 10}, 1, r"'patch-knn': expected at least k = 10 training patches .* got 9: set k"),
        ({"weighting": "lof"}, 5, r"weighting = 'lof' expected at least 6 training images, got 5"),
        ({"weighting": "nearest"}, 1, r"'nearest' expected at least 2 training images, got 1"),
        ({"weighting": "gaussian", "aligned": False, "max_patches": 1}, 3, r"2 training patches"),
    ]
    for options, count, message in cases:
        with pytest.raises(DataError, match=message):
            build("patch-knn", **options).fit([make_trip(count)])
    for options in ({}, {"weighting": "lof"}):
        with pytest.raises(DataError, match=r"expected some, got none"):
            build("patch-knn", **options).fit([])


def test_one_image_and_equal_images_are_enough(build, make_trip):
    one = build("patch-knn")
    one.fit([make_trip(1)])
    assert one.map(make_trip(1)).abs().max() < 1e-6
    train = make_trip(1).map(lambda t: t.expand(9, *t.shape[1:]).contiguous())
    for weighting in ("lof", "nearest", "gaussian"):
        assert fitted(build, train, weighting=weighting)(make_trip(4, 1)).isfinite().all()
