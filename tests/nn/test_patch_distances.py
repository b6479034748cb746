"""Distances of feature maps, and several scales as one map."""

import pytest
import torch

from anokit.errors import PluginError
from anokit.nn import combine_scales, patch_distances, resize_map


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_cosine_distance_is_one_minus_the_cosine():
    first, second = draw(2, 5, 3, 4), draw(2, 5, 3, 4, seed=1)
    expected = 1 - torch.nn.functional.cosine_similarity(first, second, dim=1)
    torch.testing.assert_close(patch_distances(first, second, "cosine"), expected)


@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_gradients_are_finite_where_nothing_differs(distance):
    first = draw(1, 5, 2, 2)
    second = first.clone().requires_grad_()
    patch_distances(first, second, distance).sum().backward()
    assert second.grad.isfinite().all()


def test_maps_of_other_shapes_are_refused():
    for wrong in (draw(2, 5, 3, 3), draw(2, 5, 12)):
        with pytest.raises(PluginError, match=r"one shape, got \[2, 5, 3, 4\]"):
            patch_distances(draw(2, 5, 3, 4), wrong, "cosine")
    with pytest.raises(PluginError, match="at least one scale"):
        combine_scales([], "mean")


def test_scales_are_combined_image_by_image_on_the_finest_grid():
    scales = [draw(3, 2, 2).abs(), draw(3, 8, 6).abs(), draw(3, 4, 4).abs()]
    for how in ("product", "mean"):
        whole = combine_scales(scales, how)
        assert whole.shape == (3, 8, 6)
        alone = combine_scales([scale[1:2] for scale in scales], how)
        assert torch.equal(alone[0], whole[1])
    fine = [resize_map(scale, (8, 6)) for scale in scales]
    torch.testing.assert_close(combine_scales(scales, "product"), fine[0] * fine[1] * fine[2])


def test_a_map_keeps_its_mean_where_it_is_reduced():
    values = draw(2, 8, 8).abs()
    reduced = resize_map(values, (4, 4))
    assert reduced.shape == (2, 4, 4)
    torch.testing.assert_close(reduced.mean(), values.mean(), rtol=0.1, atol=0)
    assert torch.equal(resize_map(values, (8, 8)), values)
