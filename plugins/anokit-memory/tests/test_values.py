"""Values against scikit-learn, and on feature maps small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf, ShrunkCovariance
from sklearn.neighbors import NearestNeighbors

from anokit.errors import DataError, PluginError
from anokit.types import RoundTrip


def flat(tensor: torch.Tensor) -> np.ndarray:
    return tensor.flatten(1).numpy()


@pytest.mark.parametrize("on", ["image", "features", "latent"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 5])
def test_knn_equals_scikit_learn(build, make_trip, on, metric, k):
    score, train, test = build("knn", on=on, metric=metric, k=k), make_trip(30), make_trip(9, 1)
    score.fit([train])
    reference = NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute")
    expected, _ = reference.fit(flat(train.get(on))).kneighbors(flat(test.get(on)))
    np.testing.assert_allclose(score(test), expected.mean(axis=1), rtol=1e-4, atol=1e-6)


def test_pixel_knn_is_euclidean_knn_on_images(build, fit, make_trip):
    same = fit(build("knn", on="image", metric="euclidean", k=3))
    assert torch.equal(fit(build("pixel-knn", k=3))(make_trip(6)), same(make_trip(6)))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_knn_gives_zero_for_copies_of_training_images(build, make_trip, metric):
    score, train = build("knn", on="image", metric=metric, k=2), make_trip(10)
    score.fit([train, train])
    assert (score(train) == 0).all()


def test_the_cosine_ignores_length_and_the_euclidean_does_not(build, fit, make_trip):
    trip = make_trip(5)
    scaled = trip.map(lambda t: 7 * t)
    cosine, euclidean = fit(build("knn")), fit(build("knn", metric="euclidean"))
    torch.testing.assert_close(cosine(scaled), cosine(trip), rtol=1e-4, atol=1e-6)
    assert (euclidean(scaled) > euclidean(trip)).all()


def test_knn_of_fewer_than_k_images_takes_all_and_says_so(build, make_trip):
    few, all_of_them = build("pixel-knn"), build("pixel-knn", k=4)
    for score in (few, all_of_them):
        score.fit([make_trip(4)])
    assert torch.equal(few(make_trip(3, 1)), all_of_them(make_trip(3, 1)))
    (text,) = few.warnings()
    assert "'pixel-knn' averages k = 5 nearest training vectors, and there are 3" in text
    six = build("pixel-knn")
    six.fit([make_trip(6)])
    assert six.warnings() == []


@pytest.mark.parametrize(("images", "share", "k"), [(60, 0.2, 12), (60, 0.025, 5), (80, 0.99, 79)])
def test_a_share_of_the_training_images_is_that_many_neighbours(build, make_trip, images, share, k):
    of_all, counted = build("knn", on="image", k=share), build("knn", on="image", k=k)
    train = make_trip(images)
    for score in (of_all, counted):
        score.fit([train])
    assert torch.equal(of_all(make_trip(3, 1)), counted(make_trip(3, 1)))
    places = torch.arange(images)
    assert torch.equal(of_all.leave_one_out(train, places), counted.leave_one_out(train, places))


@pytest.mark.parametrize("k", [0, -3, 1.5, 0.0])
def test_no_other_number_of_neighbours_is_taken(build, k):
    with pytest.raises(ValueError, match="k"):
        build("knn", k=k)


@pytest.mark.parametrize("shrinkage", ["ledoit-wolf", 0.25])
def test_mahalanobis_equals_scikit_learn(build, make_trip, shrinkage):
    score, train, test = build("mahalanobis", shrinkage=shrinkage), make_trip(40), make_trip(9, 1)
    score.fit([train])
    estimator = LedoitWolf() if shrinkage == "ledoit-wolf" else ShrunkCovariance(shrinkage=0.25)
    squared = estimator.fit(flat(train.features).astype(float)).mahalanobis(flat(test.features))
    np.testing.assert_allclose(score(test).square(), squared, rtol=1e-5)


def test_mahalanobis_without_shrinkage_ignores_any_linear_change(build, make_trip):
    train, test = make_trip(40), make_trip(9, 1)
    change = torch.rand(5, 5, generator=torch.Generator().manual_seed(0)) + torch.eye(5)
    plain, changed = (build("mahalanobis", shrinkage=0.0) for _ in range(2))
    plain.fit([train])
    changed.fit([RoundTrip(features=train.features @ change + 3)])
    moved = RoundTrip(features=test.features @ change + 3)
    torch.testing.assert_close(changed(moved), plain(test), rtol=1e-3, atol=1e-4)


def test_mahalanobis_refuses_a_covariance_without_inverse(build, make_trip):
    with pytest.raises(DataError, match=r"no inverse with shrinkage = 0.0: set it higher"):
        build("mahalanobis", on="image", shrinkage=0.0).fit([make_trip(20)])


def test_a_strange_patch_shows_in_map_and_score(build, fit, make_trip):
    trip = make_trip(4)
    trip.patches[2, :, 0, 2] = 40.0
    for name, options in (("knn", {"metric": "euclidean"}), ("mahalanobis", {})):
        score = fit(build(name, on="patches", **options))
        assert score(trip).argmax() == 2
        heat = score.map(trip)[2]
        assert divmod(int(heat.argmax()), 6) in {(0, 4), (0, 5), (1, 4), (1, 5)}
        assert heat.max() <= score(trip)[2] + 1e-4


def test_the_score_of_patches_is_the_maximum_or_the_mean_of_their_grid(build, fit, make_trip):
    trip = make_trip(5, size=3)  # images as large as the grid: the map is the grid
    largest, mean = (fit(build("knn", on="patches", patch_score=how)) for how in ("max", "mean"))
    torch.testing.assert_close(largest(trip), largest.map(trip).amax(dim=(1, 2)))
    torch.testing.assert_close(mean(trip), mean.map(trip).mean(dim=(1, 2)))


def test_max_patches_keeps_a_seeded_subset(build, make_trip):
    train = make_trip(40)
    every = train.patches.movedim(1, -1).flatten(0, 2)

    def kept(seed: int, most: int = 50) -> torch.Tensor:
        score = build("knn", on="patches", metric="euclidean", max_patches=most, seed=seed)
        score.fit([train])
        return score.detector.memory

    assert kept(0).shape == (50, 4)
    assert torch.equal(kept(0), kept(0))
    assert not torch.equal(kept(0), kept(1))
    assert ((kept(0)[:, None] == every).all(dim=2).sum(dim=1) == 1).all()
    assert torch.equal(kept(0, most=360), every)


def test_max_fit_images_is_what_the_option_says(build):
    assert build("knn", max_fit_images=7).max_fit_images == 7
    assert build("pixel-knn").max_fit_images == 10_000


def test_images_of_another_size_are_refused(build, fit, make_trip):
    with pytest.raises(PluginError, match=r"fitted to images of 108 values, got 48"):
        fit(build("pixel-knn"))(make_trip(2, size=4))
