"""Values against scikit-learn, and on densities that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import empirical_covariance
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.svm import OneClassSVM

from anokit.errors import DataError, PluginError
from anokit.types import RoundTrip
from anokit_density import components, kde
from anokit_density.forest import average_path_length, round_down
from anokit_density.plugin import KDEOptions
from anokit_density.rx import windows


def flat(trip: RoundTrip, on: str = "image") -> np.ndarray:
    return trip.get(on).flatten(1).numpy()


def normal(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("on", "kept"), [("image", 0.9), ("features", 3)])
@pytest.mark.parametrize("bandwidth", [0.3, 2.0])
@pytest.mark.parametrize("whiten", [True, False])
def test_kde_equals_scikit_learn(build, make_trip, on, kept, bandwidth, whiten):
    score = build("kde", on=on, components=kept, bandwidth=bandwidth, whiten=whiten)
    train, test = make_trip(60), make_trip(9, seed=1)
    score.fit([train])
    pca = PCA(kept, whiten=whiten).fit(flat(train, on))
    reference = KernelDensity(bandwidth=bandwidth).fit(pca.transform(flat(train, on)))
    expected = -reference.score_samples(pca.transform(flat(test, on)))
    np.testing.assert_allclose(score(test), expected, rtol=1e-4)


def test_components_of_the_least_numbers_are_found_without_a_warning(recwarn):
    rows = (normal(40, 8) * 1e-30).numpy()
    assert components.principal_components(rows, 0.9).mean.shape == (8,)
    assert not recwarn.list


def test_kde_after_contrast_normalisation_ignores_contrast_and_brightness(build, fit, make_trip):
    score, trip = fit(build("kde", contrast=True)), make_trip(5)
    changed = RoundTrip(image=trip.image * 0.3 - 0.5)
    torch.testing.assert_close(score(changed), score(trip), rtol=1e-4, atol=1e-4)


def test_kde_blocks_do_not_change_the_density(monkeypatch, build, fit, make_trip):
    score, trip = fit(build("kde", bandwidth=1.0)), make_trip(9)
    whole = score(trip)
    monkeypatch.setattr(kde, "MAX_ROWS", 4)
    torch.testing.assert_close(score(trip), whole)


@pytest.mark.parametrize("width", [1, 3, 12])
def test_kde_cross_validation_chooses_as_scikit_learn_does(width):
    points = normal(150, width).double()
    grid = {"bandwidth": list(kde.BANDWIDTHS)}
    order = kde.seeded_order(150, 0, "kde")
    dealt = [(np.setdiff1d(order, order[i::5]), order[i::5]) for i in range(kde.FOLDS)]
    search = GridSearchCV(KernelDensity(rtol=1e-9), grid, cv=dealt).fit(points.numpy())
    assert kde.cross_validated(points, 0) == search.best_params_["bandwidth"]


def test_kde_of_many_normal_points_is_near_the_normal_density(build):
    score = build("kde", on="features", components=0.999, bandwidth="cv")
    score.fit([RoundTrip(features=normal(3000, 2))])
    test = RoundTrip(features=normal(200, 2, seed=1))
    expected = test.features.square().sum(dim=1) / 2 + np.log(2 * np.pi)
    assert (score(test) - expected).abs().median() < 0.15


def test_kde_is_exact_in_a_far_tail():
    generator = np.random.default_rng(0)
    points, queries = generator.normal(size=(200, 2)), np.array([[15.0, 5.0], [40.0, -30.0]])
    detector = kde.KernelDensity("kde", KDEOptions(bandwidth=0.5, whiten=False, components=2))
    detector.fit(torch.from_numpy(points).float())
    squares = ((queries[:, None] - points) ** 2).sum(axis=2)
    exact = np.log(200 * 2 * np.pi * 0.25) - np.logaddexp.reduce(-squares / 0.5, axis=1)
    found = detector(torch.from_numpy(queries).float())
    np.testing.assert_allclose(found.numpy(), exact, rtol=1e-5)


def test_kde_of_one_training_image_is_finite(build, make_trip):
    score = build("kde")
    score.fit([make_trip(1)])
    assert score(make_trip(3)).isfinite().all()


def test_rx_is_the_printed_formula(build, make_trip):
    score, train, test = build("rx", ridge=0.01), make_trip(40), make_trip(9, seed=1)
    score.fit([train])
    x, q = flat(train).astype(float), flat(test).astype(float)
    sigma = empirical_covariance(x)
    sigma += 0.01 * np.trace(sigma) / len(sigma) * np.eye(len(sigma))
    d = q - x.mean(axis=0)
    np.testing.assert_allclose(score(test), np.sum(d @ np.linalg.inv(sigma) * d, 1), rtol=1e-4)


@pytest.mark.filterwarnings("error")
def test_rx_of_one_training_image_is_finite_and_warns_of_nothing(build):
    score = build("rx")
    one = RoundTrip(image=torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)))
    score.fit([one])
    assert score(one) == 0
    assert score(RoundTrip(image=one.image + 0.1)).isfinite().all()


def test_rx_averages_to_the_width_over_its_training_set(build):
    score, trip = build("rx", on="latent", ridge=0.0), RoundTrip(latent=normal(500, 7))
    score.fit([trip])
    assert score(trip).mean().item() == pytest.approx(7, rel=1e-4)


def test_rx_refuses_a_covariance_without_inverse(build, make_trip):
    score = build("rx", on="latent", ridge=0.0)
    with pytest.raises(DataError, match=r"no inverse with ridge = 0: set it higher"):
        score.fit([make_trip(3)])


def test_windows_hold_the_neighbourhood_of_every_pixel():
    images = torch.arange(2 * 3 * 5 * 4, dtype=torch.float32).reshape(2, 3, 5, 4)
    found = windows(images, 3)
    assert found.shape == (2, 27, 5, 4)
    torch.testing.assert_close(found[1, :, 2, 1].reshape(3, 3, 3), images[1, :, 1:4, 0:3])
    assert torch.equal(windows(images, 1), images)
    assert found[0, 0, 0, 0] == images[0, 0, 1, 1]  # reflected


def test_local_rx_finds_the_odd_pixel(build, fit, make_trip):
    trip = make_trip(4)
    trip.image[1, :, 2, 4] = 9.0
    score = fit(build("rx", local=True, window=1))
    heat = score.map(trip)
    assert divmod(int(heat[1].argmax()), 6) == (2, 4)
    assert score(trip).argmax() == 1
    torch.testing.assert_close(score(trip), heat.amax(dim=(1, 2)))


@pytest.mark.parametrize("name", ["pca", "pixel-pca"])
@pytest.mark.parametrize("kept", [0.5, 0.95, 3])
def test_pca_equals_scikit_learn(build, make_trip, name, kept):
    score, train, test = build(name, components=kept), make_trip(30), make_trip(9, seed=1)
    score.fit([train])
    pca = PCA(kept).fit(flat(train))
    error = flat(test) - pca.inverse_transform(pca.transform(flat(test)))
    assert score.detector.components.shape == pca.components_.shape
    np.testing.assert_allclose(score(test), np.square(error).mean(axis=1), rtol=1e-4)
    torch.testing.assert_close(score.map(test).mean(dim=(1, 2)), score(test))


@pytest.mark.parametrize("kept", [0.9, 6])
def test_pca_of_a_large_set_is_randomised_and_near_the_full_one(monkeypatch, kept):
    generator = np.random.default_rng(0)
    spectrum = 0.6 ** np.arange(40)
    rows = (generator.standard_normal((60, 40)) * spectrum).astype(np.float32)
    full = components.principal_components(rows, kept)
    monkeypatch.setattr(components, "FULL_LIMIT", 0)
    found = components.principal_components(rows, kept)
    np.testing.assert_allclose(found.mean, full.mean, atol=1e-6)
    np.testing.assert_allclose(found.variances, full.variances, rtol=1e-2)
    assert found.directions.shape == full.directions.shape
    projections = [c.directions.T @ c.directions for c in (found, full)]
    np.testing.assert_allclose(*projections, atol=1e-3)
    again = components.principal_components(rows, kept)
    np.testing.assert_array_equal(again.directions, found.directions)


def test_pca_reconstructs_what_lies_in_its_subspace(build, make_trip):
    basis = make_trip(3).image
    mix = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    inside = RoundTrip(image=torch.einsum("nk,kchw->nchw", mix, basis))
    score = build("pixel-pca", components=3)
    score.fit([inside])
    assert (score(inside) < 1e-10).all()
    assert (score(make_trip(5, seed=1)) > 1e-2).all()


@pytest.mark.parametrize("name", ["pixel-pca", "kde"])
def test_more_components_than_there_are_is_refused(build, make_trip, name):
    with pytest.raises(DataError, match=rf"'{name}': components = 9, but 4 training vectors"):
        build(name, components=9).fit([make_trip(4)])


@pytest.mark.parametrize("samples", [8, 256])
def test_isolation_forest_equals_scikit_learn(build, make_trip, samples):
    score = build("isolation-forest", trees=30, samples=samples, seed=3)
    train, test = make_trip(60), make_trip(20, seed=1)
    score.fit([train])
    reference = IsolationForest(n_estimators=30, max_samples=min(samples, 60), random_state=3)
    expected = -reference.fit(flat(train)).score_samples(flat(test))
    np.testing.assert_allclose(score(test), expected, rtol=1e-5)


def test_isolation_forest_equals_scikit_learn_on_its_own_thresholds(build):
    """Values between which trees split: a threshold rounded the wrong way would show."""
    generator = torch.Generator().manual_seed(0)
    near = 1 + torch.randint(0, 3, (60, 4), generator=generator) * 2**-23
    score = build("isolation-forest", on="features", trees=20)
    score.fit([RoundTrip(features=near)])
    reference = IsolationForest(n_estimators=20, max_samples=60, random_state=0).fit(near.numpy())
    expected = -reference.score_samples(near.numpy())
    np.testing.assert_allclose(score(RoundTrip(features=near)), expected, rtol=1e-5)


def test_round_down_keeps_comparisons_of_float32():
    values = np.random.default_rng(0).uniform(-2, 2, 1000)
    down = round_down(values)
    assert (down.astype(float) <= values).all()
    assert (np.nextafter(down, np.float32(np.inf)).astype(float) > values).all()


def test_average_path_length_of_small_trees():
    # c(2) = 2 H(1) − 2·1/2 = 1; c(3) = 2 (ln 2 + γ) − 4/3
    expected = [0, 1, 2 * (np.log(2) + np.euler_gamma) - 4 / 3]
    np.testing.assert_allclose(average_path_length(np.array([1, 2, 3])), expected)


@pytest.mark.parametrize("on", ["image", "latent"])
@pytest.mark.parametrize("gamma", ["scale", 0.5])
def test_ocsvm_equals_scikit_learn(build, make_trip, on, gamma):
    score, train, test = build("ocsvm", on=on, gamma=gamma), make_trip(60), make_trip(9, seed=1)
    score.fit([train])
    x = flat(train, on).astype(float)
    reference = OneClassSVM(nu=0.1, gamma=gamma).fit(x)
    expected = -reference.score_samples(flat(test, on).astype(float)) / (0.1 * 60)
    np.testing.assert_allclose(score(test), expected, rtol=1e-4)


def test_ocsvm_of_a_part_is_of_the_scale_of_the_whole(build):
    train, test = normal(400, 6), RoundTrip(features=normal(200, 6, seed=1))
    whole, part = build("ocsvm", on="features"), build("ocsvm", on="features")
    whole.fit([RoundTrip(features=train)])
    part.fit([RoundTrip(features=train[:200])])
    ratio = float((part(test) / whole(test)).median())
    assert ratio == pytest.approx(1, abs=0.15), "0.5 where weights are not divided by their sum"


@pytest.mark.parametrize("name", ["kde", "pca"])
def test_a_refit_keeps_the_number_of_components_and_the_bandwidth(build, name):
    """By a share of the variance, and by cross-validation, a part would choose others."""
    rows = normal(60, 12) * torch.linspace(2, 0.2, 12)
    score, chosen = build(name, on="features"), build(name, on="features")
    score.refit([RoundTrip(features=rows)])  # which is the first fit
    chosen.fit([RoundTrip(features=rows)])
    for key, value in chosen.state_dict().items():
        assert torch.equal(score.state_dict()[key], value)
    few = rows[:10] * torch.tensor([5.0, *[1.0] * 11])
    score.refit([RoundTrip(features=few)])
    chosen.fit([RoundTrip(features=few)])
    width = "components" if name == "pca" else "points"
    place = 0 if name == "pca" else 1
    shapes = [s.state_dict()[f"detector.{width}"].shape[place] for s in (score, chosen)]
    assert shapes == [min(10, shapes[0]), shapes[1]]
    assert shapes[0] > shapes[1]
    if name == "kde":
        bandwidths = [float(s.state_dict()["detector.bandwidth"]) for s in (score, chosen)]
        assert bandwidths[0] != bandwidths[1]


def test_rx_leaves_one_out_as_if_fitted_without_it(build):
    """Also where there are more values than images, and the ridge decides."""
    for width, ridge in ((5, 1e-9), (50, 1e-3)):
        rows = normal(30, width)
        score = build("rx", on="features", ridge=ridge)
        score.fit([RoundTrip(features=rows)])
        found = score.leave_one_out(RoundTrip(features=rows), torch.arange(30))
        for row in range(30):
            without = build("rx", on="features", ridge=ridge)
            without.fit([RoundTrip(features=torch.cat([rows[:row], rows[row + 1 :]]))])
            alone = without(RoundTrip(features=rows[row : row + 1]))
            assert float(found[row]) == pytest.approx(float(alone), rel=0.1), (width, row)


@pytest.mark.parametrize("name", ["kde", "rx", "isolation-forest", "ocsvm"])
def test_what_lies_outside_the_training_cloud_scores_higher(build, name):
    score = build(name, on="features")
    score.fit([RoundTrip(features=normal(200, 4))])
    inside, outside = normal(50, 4, seed=1) * 0.5, normal(50, 4, seed=2) * 0.5 + 6
    values = score(RoundTrip(features=torch.cat([inside, outside])))
    assert values[:50].max() < values[50:].min()


def test_max_fit_images_is_what_the_option_says(build):
    assert build("kde", max_fit_images=7).max_fit_images == 7
    assert build("pixel-pca").max_fit_images == 5_000


def test_images_of_another_size_are_refused(build, fit, make_trip):
    with pytest.raises(PluginError, match=r"fitted to images of 108 values, got 48"):
        fit(build("pixel-pca"))(make_trip(2, size=4))
