"""Blocks of features, and patches of several stages on one grid."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anokit_timm.pooling import Block, join_maps, join_vectors, pool_map, read_block

FEATURES, PATCHES = frozenset({"features"}), frozenset({"patches"})


def maps(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_blocks_are_read_as_they_are_named():
    assert read_block("head") == Block(None)
    assert read_block("stage12") == Block(12, "mean")
    assert read_block("stage0-std") == Block(0, "std")
    assert read_block("stage3-max") == Block(3, "max")


def test_one_block_stays_as_it_is():
    (vector,) = maps((4, 6))
    assert torch.equal(join_vectors([vector]), vector)


def test_blocks_weigh_the_same_whatever_their_units():
    first, second = maps((4, 6), (4, 3))
    joined = join_vectors([first, second])
    torch.testing.assert_close(joined, join_vectors([1000 * first, second / 1000]))
    torch.testing.assert_close(joined.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(joined[:, :6].norm(dim=1), joined[:, 6:].norm(dim=1))
    torch.testing.assert_close(functional.normalize(joined[:, 6:]), functional.normalize(second))


def test_a_block_of_zeros_stays_one():
    (vector,) = maps((2, 3))
    joined = join_vectors([vector, torch.zeros(2, 5)])
    torch.testing.assert_close(joined[:, :3], functional.normalize(vector))
    assert not joined[:, 3:].any()
    assert not join_vectors([torch.zeros(2, 5), torch.zeros(2, 1)]).any()


def test_statistics_are_those_of_the_positions():
    values = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    assert [pool_map(values, how).item() for how in ("mean", "max")] == [4, 7]
    assert pool_map(values, "std").item() == pytest.approx(5**0.5)
    assert pool_map(values[..., :1, :1], "std").item() == 0


@pytest.mark.parametrize("model", ["test_efficientnet", "test_vit"])
def test_features_are_the_blocks_in_the_order_asked_for(build, images, model):
    batch = images(3)

    def features(*pooled: str) -> torch.Tensor:
        return build(model=model, pooled=pooled).round_trip(batch, FEATURES).features

    names = ("stage2-max", "head", "stage1", "stage2-std")
    single = [features(name) for name in names]
    torch.testing.assert_close(features(*names), join_vectors(single), rtol=1e-4, atol=1e-5)
    stages = ("stage2-max", "stage1")
    torch.testing.assert_close(features(*stages), join_vectors([single[0], single[2]]))
    patches = build(model=model, patch_stages=(1,)).round_trip(batch, PATCHES).patches
    torch.testing.assert_close(single[2], patches.mean(dim=(2, 3)))


def test_what_cannot_be_pooled_or_joined_is_refused():
    (values,) = maps((1, 2, 4, 4))
    with pytest.raises(ValueError, match="how = 'min': expected 'mean', 'std' or 'max'"):
        pool_map(values, "min")
    with pytest.raises(ValueError, match="no vectors to join"):
        join_vectors([])
    with pytest.raises(ValueError, match="no maps to join"):
        join_maps([])
    for side in (0, 2, -1):
        with pytest.raises(ValueError, match=f"neighbourhood = {side}: expected an odd number"):
            join_maps([values], neighbourhood=side)


def test_maps_come_to_one_grid():
    fine, same, coarse = maps((2, 3, 8, 12), (2, 4, 4, 6), (2, 1, 2, 3))
    joined = join_maps([fine, same, coarse], (4, 6))
    assert joined.shape == (2, 8, 4, 6)
    torch.testing.assert_close(joined[:, :3], functional.avg_pool2d(fine, 2))
    assert torch.equal(joined[:, 3:7], same)
    enlarged = functional.interpolate(coarse, (4, 6), mode="bilinear", align_corners=False)
    assert torch.equal(joined[:, 7:], enlarged)
    assert join_maps([fine, coarse]).shape == (2, 4, 8, 12)


@pytest.mark.parametrize("side", [3, 5])
def test_a_neighbourhood_is_the_mean_of_what_is_there(side):
    (values,) = maps((1, 2, 6, 7))
    found, reach = join_maps([values], neighbourhood=side), side // 2
    assert found.shape == values.shape
    for row, column in ((0, 0), (3, 3), (5, 2), (1, 6)):
        rows = slice(max(row - reach, 0), row + reach + 1)
        columns = slice(max(column - reach, 0), column + reach + 1)
        expected = values[..., rows, columns].mean(dim=(2, 3))
        torch.testing.assert_close(found[..., row, column], expected)


def test_a_neighbourhood_counts_positions_of_the_stage_itself():
    (fine,) = maps((1, 2, 8, 8))
    smooth = functional.avg_pool2d(fine, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(join_maps([fine], (4, 4), 3), functional.avg_pool2d(smooth, 2))


@pytest.mark.parametrize(("stride", "side"), [(4, 24), (8, 12), (16, 6), (40, 3)])
def test_the_stride_of_patches_is_counted_in_pixels(build, images, stride, side):
    backbone = build(input_size=96, patch_stages=(1, 2), patch_stride=stride)
    assert backbone.round_trip(images(1), PATCHES).patches.shape == (1, 24 + 32, side, side)


def test_lite0_gives_what_the_documentation_says(build, images):
    backbone = build(
        (3, 100, 150),
        model="tf_efficientnet_lite0",
        input_size=None,
        pooled=("head", "stage4", "stage3"),
        patch_stages=(2, 3),
        patch_stride=16,
    )
    trip = backbone.round_trip(torch.zeros(1, 3, 100, 150), FEATURES | PATCHES)
    assert trip.features.shape == (1, 1280 + 320 + 112)
    assert trip.patches.shape == (1, 40 + 112, 10, 15)
