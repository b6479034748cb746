"""Values on tensors small enough to check by hand, and the invariances of each formula."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from anokit.types import RoundTrip


def one_image(values, values_hat) -> RoundTrip:
    """Return a trip of one image of one channel and one row."""
    image = torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)
    return RoundTrip(
        image=image, image_hat=torch.tensor(values_hat, dtype=torch.float32).reshape_as(image)
    )


def test_ln_of_a_hand_computed_pair(build):
    # w(Q) = (0, 1/2, 1, 1), w(R) = (0, 1, 1, 0): d = (0, −1/2, 0, 1), ‖d‖² = 5/4, N = 4.
    trip = one_image([-1, 0, 1, 1], [0.2, 0.4, 0.4, 0.2])
    expected = {
        "l2-over-n": math.sqrt(5) / 8,
        "rms": math.sqrt(5) / 4,
        "mse": 5 / 16,
        "mae": (1.2 + 0.4 + 0.6 + 0.8) / 4,
    }
    for mode, value in expected.items():
        assert build("ln", mode=mode)(trip).item() == pytest.approx(value, rel=1e-6)
    heat = build("ln").map(trip)
    torch.testing.assert_close(heat, torch.tensor([[[0.0, 0.5, 0.0, 1.0]]]))


def test_the_modes_of_ln_are_readings_of_one_norm(build, make_trip):
    trip = make_trip(6)
    count = trip.image[0].numel()
    printed, rms, mse = (build("ln", mode=mode)(trip) for mode in ("l2-over-n", "rms", "mse"))
    torch.testing.assert_close(rms, printed * math.sqrt(count))
    torch.testing.assert_close(mse, rms.square())
    assert (rms <= 1).all()


@pytest.mark.parametrize("mode", ["l2-over-n", "rms", "mse"])
def test_ln_ignores_contrast_and_brightness_of_either_image(build, make_trip, mode):
    trip, score = make_trip(6), build("ln", mode=mode)
    changed = replace(trip, image=0.3 * trip.image - 0.2, image_hat=5 * trip.image_hat + 3)
    torch.testing.assert_close(score(changed), score(trip), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(score.map(changed), score.map(trip), rtol=1e-4, atol=1e-5)


def test_ln_mae_does_not_ignore_contrast(build, make_trip):
    trip, score = make_trip(6), build("ln", mode="mae")
    torch.testing.assert_close(score(trip.map(lambda t: t / 2)), score(trip) / 2)


def test_ln_scales_over_all_channels_together(build):
    image = torch.tensor([[[[0.0, 0.5]], [[1.0, 1.0]]]])
    trip = RoundTrip(image=image, image_hat=torch.zeros_like(image))
    torch.testing.assert_close(build("ln").map(trip), torch.tensor([[[0.5, 0.75]]]))


def test_lo_is_minus_the_rms_of_the_encoding(build):
    score = build("lo")
    trip = RoundTrip(latent=torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
    torch.testing.assert_close(score(trip), torch.tensor([-2.5, -0.5]))
    short = RoundTrip(latent=trip.latent / 10)
    assert (score(short) > score(trip)).all(), "short encodings are the anomalous ones"


def test_lr_is_a_euclidean_norm(build):
    trip = one_image([1, 0, 0, 0], [-2, 4, 0, 0])
    assert build("lr")(trip).item() == pytest.approx(5)
    torch.testing.assert_close(build("lr").map(trip), torch.tensor([[[3.0, 4.0, 0.0, 0.0]]]))


@pytest.mark.parametrize(
    ("norm", "reduction", "expected"),
    [("l1", "mean", 1.75), ("l1", "sum", 7), ("l2", "mean", 6.25), ("l2", "sum", 25)],
)
def test_residuals(build, norm, reduction, expected):
    trip = one_image([1, 0, 0, 0], [-2, 4, 0, 0])
    trip = replace(trip, features=trip.image.flatten(1), features_hat=trip.image_hat.flatten(1))
    options = {"norm": norm, "reduction": reduction}
    assert build("residual", **options)(trip).item() == expected
    assert build("feature-residual", **options)(trip).item() == expected


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_mean_of_a_residual_map_is_the_score(build, make_trip, norm):
    trip, score = make_trip(5), build("residual", norm=norm)
    torch.testing.assert_close(score.map(trip).mean(dim=(1, 2)), score(trip))


def test_latent_residual_is_a_mean_square_of_latents(build):
    latent, latent_hat = (
        torch.tensor([[1.0, 0, 0, 0], [2, 2, 2, 2]]),
        torch.tensor([[-2.0, 4, 0, 0], [2, 2, 2, 2]]),
    )
    values = build("latent-residual")(RoundTrip(latent=latent, latent_hat=latent_hat))
    assert values.tolist() == [6.25, 0]


def test_a_is_the_sum_of_two_mean_squares(build, make_trip):
    trip = make_trip(5)
    first, second = build("residual")(trip), build("feature-residual")(trip)
    torch.testing.assert_close(build("a")(trip), first + second)
    torch.testing.assert_close(build("a", kappa=0.25)(trip), first + second / 4)


def test_a_in_critic_mode_compares_with_the_training_mean(build, make_trip):
    score = build("a", mode="critic", kappa=2.0)
    trip = replace(make_trip(3), image_hat=make_trip(3).image)
    score.fit(
        [
            RoundTrip(image=trip.image, image_hat=trip.image, critic=torch.tensor([1.0, 2.0, 6.0])),
            RoundTrip(image=trip.image[:1], image_hat=trip.image[:1], critic=torch.tensor([3.0])),
        ]
    )
    values = score(replace(trip, critic=torch.tensor([3.0, 2.0, 5.0])))
    torch.testing.assert_close(values, torch.tensor([0.0, 2.0, 8.0]))


def lengths(*values: float) -> RoundTrip:
    """Return a trip whose encodings have these norms."""
    return RoundTrip(latent=torch.tensor(values)[:, None] * torch.tensor([[0.6, -0.8]]))


def test_typicality_counts_robust_deviations_on_both_sides(build):
    score = build("norm-typicality")
    score.fit([lengths(8, 9, 10), lengths(11, 12)])  # median 10, MAD 1
    values = score(lengths(10, 10 + 1.4826, 10 - 2 * 1.4826))
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0, 2.0]), rtol=1e-4, atol=1e-5)


def test_typicality_has_no_unit_and_resists_contamination(build):
    score, scaled, dirty = (build("norm-typicality") for _ in range(3))
    score.fit([lengths(8, 9, 10, 11, 12)])
    scaled.fit([lengths(80, 90, 100, 110, 120)])
    dirty.fit([lengths(8, 9, 10, 11, 12, 1000.0)])
    torch.testing.assert_close(scaled(lengths(150)), score(lengths(15)))
    assert dirty(lengths(15)) > 0.5 * score(lengths(15))


def test_typicality_stays_finite_where_training_norms_are_equal(build):
    score = build("norm-typicality")
    score.fit([lengths(5, 5, 5, 5)])
    values = score(lengths(5, 6))
    assert values[0] < 2
    assert values[1] > 1e4
    assert values.isfinite().all()
