"""The pixel baselines against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from anokit.errors import DataError, PluginError
from anokit.types import RoundTrip
from anokit_scores import pixel_knn, pixel_pca


def flat(trip: RoundTrip) -> np.ndarray:
    return trip.image.flatten(1).numpy()


@pytest.mark.parametrize("k", [1, 5])
def test_knn_equals_scikit_learn(build, make_trip, k):
    score, train, test = build("pixel-knn", k=k), make_trip(30), make_trip(9, seed=1)
    score.fit([train])
    expected, _ = NearestNeighbors(n_neighbors=k).fit(flat(train)).kneighbors(flat(test))
    np.testing.assert_allclose(score(test), expected.mean(axis=1), rtol=1e-5)


def test_knn_gives_zero_for_copies_of_training_images(build, make_trip):
    score, train = build("pixel-knn", k=2), make_trip(10)
    score.fit([train, train])
    assert (score(train) == 0).all()


@pytest.mark.parametrize("most", [1, 7, 50])
def test_knn_blocks_do_not_change_the_neighbours(monkeypatch, make_trip, most):
    train, queries = make_trip(23).image.flatten(1), make_trip(5, seed=1).image.flatten(1)
    whole = pixel_knn.nearest_indices(queries, train, 4)
    monkeypatch.setattr(pixel_knn, "MAX_DISTANCES", most)
    assert torch.equal(pixel_knn.nearest_indices(queries, train, 4), whole)


def test_knn_tells_neighbours_apart_far_from_the_origin(make_trip):
    offset = 1000.0
    train = make_trip(20, size=2).image.flatten(1) * 1e-3 + offset
    queries = train + 1e-5
    nearest = pixel_knn.nearest_indices(queries, train, 1)
    exact = torch.cdist(queries.double(), train.double()).argmin(dim=1)
    assert torch.equal(nearest[:, 0], exact)


def test_knn_needs_k_training_images(build, make_trip):
    with pytest.raises(DataError, match=r"at least k = 5 training images, got 4"):
        build("pixel-knn").fit([make_trip(4)])


@pytest.mark.parametrize("kept", [0.5, 0.95, 3])
def test_pca_equals_scikit_learn(build, make_trip, kept):
    score, train, test = build("pixel-pca", components=kept), make_trip(30), make_trip(9, seed=1)
    score.fit([train])
    pca = PCA(kept).fit(flat(train))
    error = flat(test) - pca.inverse_transform(pca.transform(flat(test)))
    assert score.components.shape == pca.components_.shape
    np.testing.assert_allclose(score(test), np.square(error).mean(axis=1), rtol=1e-4)
    torch.testing.assert_close(score.map(test).mean(dim=(1, 2)), score(test))


@pytest.mark.parametrize("kept", [0.9, 6])
def test_pca_of_a_large_set_is_randomised_and_near_the_full_one(monkeypatch, kept):
    generator = np.random.default_rng(0)
    spectrum = 0.6 ** np.arange(40)
    images = (generator.standard_normal((60, 40)) * spectrum).astype(np.float32)
    mean, full = pixel_pca.principal_components(images, kept)
    monkeypatch.setattr(pixel_pca, "FULL_LIMIT", 0)
    again, found = pixel_pca.principal_components(images, kept)
    np.testing.assert_allclose(again, mean, atol=1e-6)
    assert found.shape == full.shape
    np.testing.assert_allclose(found.T @ found, full.T @ full, atol=1e-3)
    np.testing.assert_array_equal(pixel_pca.principal_components(images, kept)[1], found)


def test_pca_reconstructs_what_lies_in_its_subspace(build, make_trip):
    basis = make_trip(3).image
    mix = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    inside = RoundTrip(image=torch.einsum("nk,kchw->nchw", mix, basis))
    score = build("pixel-pca", components=3)
    score.fit([inside])
    assert (score(inside) < 1e-10).all()
    assert (score(make_trip(5, seed=1)) > 1e-2).all()


def test_pca_refuses_more_components_than_there_are(build, make_trip):
    with pytest.raises(DataError, match=r"components = 9, but 4 training images"):
        build("pixel-pca", components=9).fit([make_trip(4)])


@pytest.mark.parametrize("name", ["pixel-knn", "pixel-pca"])
def test_images_of_another_size_are_refused(build, fit, make_trip, name):
    with pytest.raises(PluginError, match=r"fitted to images of 108 values, got 48"):
        fit(build(name))(make_trip(2, size=4))
