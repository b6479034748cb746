"""Scores of maps and of predicted patches, on tensors small enough to check by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from anokit.errors import PluginError
from anokit.types import RoundTrip


def test_map_scores_of_a_hand_computed_map(build):
    values = torch.tensor([[[1.0, -2.0], [4.0, 3.0]], [[0.0, 0.0], [0.0, -8.0]]])
    trip = RoundTrip(anomaly_map=values)
    assert build("map-max")(trip).tolist() == [4.0, 0.0]
    assert build("map-mean")(trip).tolist() == [1.5, -2.0]
    assert build("map-mean", top=0.5)(trip).tolist() == [3.5, 0.0]
    assert build("map-mean", top=0.01)(trip).tolist() == [4.0, 0.0], "at least one value"


@pytest.mark.parametrize("name", ["map-max", "map-mean"])
def test_a_map_is_brought_to_the_size_of_the_image(build, name):
    values = torch.tensor([[[0.0, 4.0]]])
    trip = RoundTrip(anomaly_map=values, image=torch.zeros(1, 3, 1, 4))
    torch.testing.assert_close(build(name).map(trip), torch.tensor([[[0.0, 1.0, 3.0, 4.0]]]))
    same = replace(trip, image=torch.zeros(1, 3, 1, 2))
    assert torch.equal(build(name).map(same), values)


def test_a_peak_of_a_map_finer_than_the_image_is_not_lost(build):
    for place in range(8):
        values = torch.zeros(1, 8, 8)
        values[0, place, place] = 16.0
        heat = build("map-max").map(RoundTrip(anomaly_map=values, image=torch.zeros(1, 1, 2, 2)))
        assert heat.max() > 0.3


def vectors(*positions: tuple[float, float]) -> torch.Tensor:
    """Return a feature map of one image, one row and two channels: ``[1, 2, 1, w]``."""
    return torch.tensor(positions).T[None, :, None, :]


def test_patch_residual_of_hand_computed_patches(build):
    # Cosines 1, 0, −1: half the squared distance of unit vectors is 1 − cos.
    trip = RoundTrip(
        patches=vectors((3.0, 4.0), (1.0, 0.0), (0.0, 2.0)),
        patches_hat=vectors((6.0, 8.0), (0.0, 5.0), (0.0, -1.0)),
        image=torch.zeros(1, 3, 1, 3),
    )
    cosine = torch.tensor([[[0.0, 1.0, 2.0]]])
    torch.testing.assert_close(build("patch-residual").map(trip), cosine)
    assert build("patch-residual")(trip).item() == pytest.approx(2)
    assert build("patch-residual", patch_score="mean")(trip).item() == pytest.approx(1)
    # Mean over two channels of squared differences: (9 + 16)/2, (1 + 25)/2, 9/2.
    squared = torch.tensor([[[12.5, 13.0, 4.5]]])
    torch.testing.assert_close(build("patch-residual", distance="squared").map(trip), squared)


def two_scales() -> RoundTrip:
    """Return distances 0, 1, 2, 1 at a fine scale and 1, 2 at a coarse one."""
    fine = vectors((1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0))
    fine_hat = vectors((2.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
    coarse, coarse_hat = vectors((0.0, 1.0), (0.0, 1.0)), vectors((1.0, 0.0), (0.0, -1.0))
    return RoundTrip(
        image=torch.zeros(1, 1, 1, 4),
        extra={
            "patches.a": fine,
            "patches_hat.a": fine_hat,
            "patches.b": coarse,
            "patches_hat.b": coarse_hat,
        },
    )


@pytest.mark.parametrize("scales", [("a", "b"), ("b", "a")])
def test_scales_are_combined_on_the_finest_grid(build, scales):
    trip = two_scales()
    # The coarse scale enlarged bilinearly: 1, 1.25, 1.75, 2.
    product = build("patch-residual", scales=scales)
    torch.testing.assert_close(product.map(trip), torch.tensor([[[0.0, 1.25, 3.5, 2.0]]]))
    assert product(trip).item() == pytest.approx(3.5)
    mean = build("patch-residual", scales=scales, combine="mean")
    torch.testing.assert_close(mean.map(trip), torch.tensor([[[0.5, 1.125, 1.875, 1.5]]]))


def test_the_cosine_ignores_lengths_and_the_other_does_not(build, make_trip):
    trip = make_trip(4)
    longer = replace(trip, patches_hat=7 * trip.patches_hat)
    cosine, squared = build("patch-residual"), build("patch-residual", distance="squared")
    torch.testing.assert_close(cosine(longer), cosine(trip))
    assert not torch.allclose(squared(longer), squared(trip))


def test_what_comes_back_as_it_was_scores_exactly_zero(build, make_trip):
    trip = make_trip(4)
    same = replace(trip, patches_hat=trip.patches.clone())
    for distance in ("cosine", "squared"):
        assert not build("patch-residual", distance=distance)(same).any()


def test_a_prediction_of_another_grid_is_refused(build, make_trip):
    trip = make_trip(2)
    small = replace(trip, patches_hat=trip.patches_hat[..., :2])
    with pytest.raises(PluginError, match=r"patches_hat expected \[2, 5, 3, 3\], got \[2, 5, 3"):
        build("patch-residual")(small)
    extra = {**trip.extra, "patches_hat.fine": trip.extra["patches_hat.coarse"]}
    with pytest.raises(PluginError, match=r"patches_hat\.fine expected \[2, 5, 4, 4\]"):
        build("patch-residual", scales=("fine",))(replace(trip, extra=extra))
