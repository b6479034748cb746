"""``padim`` against NumPy, one position at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from anokit.errors import DataError, PluginError
from anokit.types import RoundTrip
from anokit_memory import padim as module


def at(patches: torch.Tensor, row: int, column: int) -> np.ndarray:
    return patches[:, :, row, column].double().numpy()


def ridged(vectors: np.ndarray, ridge: float | None = None) -> np.ndarray:
    covariance = np.cov(vectors.T, bias=True)
    width = len(covariance)
    ridge = 0.1 * np.trace(covariance) / width if ridge is None else ridge
    return 0.9 * covariance + ridge * np.eye(width)


def distance(vector: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    return float(np.sqrt((vector - mean) @ np.linalg.solve(covariance, vector - mean)))


def test_every_position_has_its_gaussian_and_the_largest_distance_counts(build, make_trip):
    score, train, test = build("padim"), make_trip(40), make_trip(6, 1, size=3)
    score.fit([train])
    expected = np.empty((6, 3, 3))
    for row, column in np.ndindex(3, 3):
        known = at(train.patches, row, column)
        for image, vector in enumerate(at(test.patches, row, column)):
            expected[image, row, column] = distance(vector, known.mean(axis=0), ridged(known))
    np.testing.assert_allclose(score.map(test), expected, rtol=1e-4)  # the grid: 3×3 images
    np.testing.assert_allclose(score(test), expected.max(axis=(1, 2)), rtol=1e-4)


@pytest.mark.parametrize("count", [20, 60])
def test_leaving_an_image_out_equals_fitting_without_it(build, make_trip, count):
    score, trip = build("padim"), make_trip(count)
    score.fit([trip])
    expected = np.zeros(count)
    for row, column in np.ndindex(3, 3):
        known = at(trip.patches, row, column)
        held = 0.1 * np.trace(np.cov(known.T, bias=True)) / 4
        for place in range(count):
            others = np.delete(known, place, axis=0)
            found = distance(known[place], others.mean(axis=0), ridged(others, held))
            expected[place] = max(expected[place], found)
    places = torch.tensor([5, 2, 19, 0])
    part = trip.map(lambda t: t[places])
    np.testing.assert_allclose(score.leave_one_out(part, places), expected[places], rtol=1e-4)
    assert (score.leave_one_out(part, places) > score(part)).all()


def test_channels_are_a_seeded_draw_that_is_stored(build, make_trip):
    trip = make_trip(30)

    def chosen(**options: int) -> list[int]:
        score = build("padim", **options)
        score.fit([trip])
        return score.chosen.tolist()

    assert chosen(channels=2) == chosen(channels=2)
    assert len({tuple(chosen(channels=2, seed=seed)) for seed in range(9)}) > 2
    assert chosen(channels=3, seed=1) == sorted(set(chosen(channels=3, seed=1)))
    assert chosen() == [0, 1, 2, 3]
    score = build("padim", channels=2)
    score.fit([trip])
    other = trip.patches.clone()
    other[:, [c for c in range(4) if c not in score.chosen]] = 100.0
    assert torch.equal(score(replace(trip, patches=other)), score(trip))


def test_a_strange_patch_shows_in_map_and_score(build, fit, make_trip):
    score, trip = fit(build("padim")), make_trip(4)
    trip.patches[2, :, 0, 2] = 40.0
    assert score(trip).argmax() == 2
    assert divmod(int(score.map(trip)[2].argmax()), 6) in {(0, 4), (0, 5), (1, 4), (1, 5)}


def test_what_is_usual_elsewhere_is_anomalous_here(build, make_trip):
    train, test = make_trip(40), make_trip(2, 1)
    train.patches[:, :, 0, 0] += 10
    test.patches[0, :, 0, 0] += 10
    test.patches[1, :, 2, 2] += 10
    score = build("padim")
    score.fit([train])
    assert score(test)[1] > 3 * score(test)[0]


def test_a_position_that_never_varies_still_has_a_spread(build, make_trip):
    train, test = make_trip(40), make_trip(5, 1)
    train.patches[:, :, 1, 1] = 0.3
    test.patches[:, :, 1, 1] = 0.3
    test.patches[4, :, 1, 1] += 0.01
    score = build("padim")
    score.fit([train])
    assert score.leave_one_out(train, torch.arange(40)).isfinite().all()
    values = score(test)
    assert values.isfinite().all()
    assert values.argmax() == 4


def test_values_far_from_zero_do_not_lose_their_spread(build, make_trip):
    train, test = make_trip(40), make_trip(5, 1)
    near, far = build("padim"), build("padim")
    # Multiples of 1/64: adding 4096 leaves them exact, so that only fitting could lose something.
    whole = [trip.patches.mul(64).round().div(64) for trip in (train, test)]
    near.fit([RoundTrip(patches=whole[0])])
    far.fit([RoundTrip(patches=part + 4096) for part in whole[0].split(7)])
    found = far(RoundTrip(patches=whole[1] + 4096))
    torch.testing.assert_close(found, near(RoundTrip(patches=whole[1])), rtol=1e-3, atol=1e-3)


def test_fewer_than_twenty_images_and_equal_images_are_refused(build, make_trip):
    with pytest.raises(DataError, match=r"'padim': expected at least 20 training images, got 19"):
        build("padim").fit([make_trip(10), make_trip(9)])
    same = RoundTrip(patches=torch.full((11, 4, 3, 3), 0.1))
    with pytest.raises(DataError, match="feature maps of all 22 training images are equal"):
        build("padim").fit([same, same])


def test_what_does_not_fit_into_memory_is_refused_before_fitting(build, make_trip, monkeypatch):
    monkeypatch.setattr(module, "memory", lambda: 1000)
    with pytest.raises(DataError, match=r"4 channels at 9 positions take .* GiB .*set channels"):
        build("padim").fit([make_trip(30)])
    monkeypatch.setattr(module, "memory", lambda: None)
    build("padim").fit([make_trip(30)])


def test_feature_maps_of_another_layout_are_refused(build, fit, make_trip):
    score, trip = fit(build("padim")), make_trip(2)
    with pytest.raises(PluginError, match=r"fitted to patches \[4, 3, 3\] .*got \[4, 3, 2\]"):
        score(replace(trip, patches=trip.patches[..., :2]))
    with pytest.raises(PluginError, match=r"got \[4, 2, 3\]"):
        build("padim").fit([make_trip(5), replace(trip, patches=trip.patches[:, :, :2])])
