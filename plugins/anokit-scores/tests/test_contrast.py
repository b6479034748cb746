"""The contrast of an image as a score, and the norm of an encoding without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anokit.types import RoundTrip


def values(statistic, image):
    """Return a statistic of one image by numpy."""
    image = image.numpy().astype(np.float64)
    dx, dy = np.diff(image, axis=2), np.diff(image, axis=1)
    return {
        "gradient": np.sqrt((dx**2).mean() + (dy**2).mean()),
        "std": image.std(),
        "range": np.ptp(image),
        "norm": np.sqrt((image**2).sum()),
    }[statistic]


@pytest.mark.parametrize("statistic", ["gradient", "std", "range", "norm"])
def test_pixel_contrast_is_minus_the_statistic(statistic, build, make_trip):
    trip = make_trip(5)
    wanted = [-values(statistic, image) for image in trip.image]
    found = build("pixel-contrast", statistic=statistic)(trip)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


def test_the_statistic_is_the_gradient_unless_another_is_asked_for(build, make_trip):
    named = build("pixel-contrast", statistic="gradient")
    assert torch.equal(build("pixel-contrast")(make_trip(5)), named(make_trip(5)))


def homogeneous(images):
    """Encode images as a network without biases does: E(kx) = k·E(x)."""
    weights = torch.randn(images[0].numel(), 200, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.leaky_relu(images.flatten(1) @ weights, 0.2)


@pytest.fixture
def scaled(make_trip):
    """Draw images whose contrast differs, and what a homogeneous encoder makes of them."""

    def draw(count, seed):
        images = make_trip(count, seed).image
        contrast = torch.rand(count, generator=torch.Generator().manual_seed(seed + 50)) + 0.05
        images = images * contrast.view(-1, 1, 1, 1)
        return RoundTrip(image=images, latent=homogeneous(images))

    return draw


def test_a_contrast_meter_has_nothing_left(build, scaled):
    score, trip = build("norm-residual"), scaled(40, 2)
    score.fit([scaled(300, 1)])
    weaker = RoundTrip(image=0.5 * trip.image, latent=homogeneous(0.5 * trip.image))
    lo = build("lo")
    assert (lo(weaker) > lo(trip)).all(), "Lo takes half the contrast for an anomaly"
    assert float((score(weaker) - score(trip)).abs().max()) < 0.3 * np.log(2)
    told = np.corrcoef(lo(trip), -trip.image.double().std(dim=(1, 2, 3)))[0, 1]
    assert told > 0.9
    assert abs(np.corrcoef(score(trip), -trip.image.double().std(dim=(1, 2, 3)))[0, 1]) < 0.4


def test_a_norm_that_is_short_for_its_contrast_scores_high(build, scaled):
    score, trip = build("norm-residual"), scaled(40, 2)
    score.fit([scaled(300, 1)])
    short = RoundTrip(image=trip.image, latent=0.5 * trip.latent)
    torch.testing.assert_close(score(short) - score(trip), torch.full((40,), float(np.log(2))))


def test_the_fit_is_least_squares_with_an_intercept(build, scaled):
    score, trip = build("norm-residual"), scaled(60, 1)
    score.fit([trip])
    images = trip.image.numpy().astype(np.float64)
    columns = [
        np.ones(60),
        np.log(images.std(axis=(1, 2, 3))),
        np.log([values("gradient", image) for image in trip.image]),
        images.mean(axis=(1, 2, 3)),
    ]
    design = np.stack(columns, axis=1)
    lengths = np.log(np.linalg.norm(trip.latent.numpy().astype(np.float64), axis=1))
    solution, *_ = np.linalg.lstsq(design, lengths, rcond=None)
    np.testing.assert_allclose(score(trip).numpy(), design @ solution - lengths, atol=1e-5)


def test_leaving_one_out_is_fitting_without_it(build, scaled):
    trip = scaled(30, 1)
    score = build("norm-residual")
    score.fit([trip])
    found = score.leave_one_out(trip.map(lambda t: t[10:14]), torch.arange(10, 14))
    for row, place in enumerate(range(10, 14)):
        others = [other for other in range(30) if other != place]
        again = build("norm-residual")
        again.fit([trip.map(lambda t, others=others: t[others])])
        torch.testing.assert_close(
            found[row],
            again(trip.map(lambda t, place=place: t[place : place + 1]))[0],
            atol=1e-5,
            rtol=0,
        )


def test_an_equal_covariate_counts_nothing(build, scaled):
    def levelled(trip):
        image = trip.image - trip.image.mean(dim=(1, 2, 3), keepdim=True)
        return RoundTrip(image=image, latent=trip.latent)

    score = build("norm-residual")
    score.fit([levelled(scaled(60, 1))])
    trip = levelled(scaled(5, 2))
    brighter = RoundTrip(image=trip.image + 0.25, latent=trip.latent)
    torch.testing.assert_close(score(brighter), score(trip), atol=1e-4, rtol=0)
