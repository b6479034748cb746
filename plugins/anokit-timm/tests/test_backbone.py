"""The feature extractor: shapes, preparation of images, independence of the batch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anokit.errors import DataError, RecipeError
from anokit.types import Backbone

BOTH = frozenset({"features", "patches"})
FEATURES = frozenset({"features"})


def test_it_is_a_backbone_that_is_never_trained(build):
    backbone = build()
    assert isinstance(backbone, Backbone)
    assert not list(backbone.phases())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_only_what_is_asked_for_is_filled(build, images):
    backbone = build(patch_stages=(1, 2))
    for needs in (frozenset({"image"}), FEATURES, frozenset({"patches"}), BOTH | {"image"}):
        assert backbone.round_trip(images(2), needs).filled() == needs


def test_patches_and_features_have_the_shapes_of_the_model(build, images):
    trip = build(patch_stages=(2, 1)).round_trip(images(3), BOTH)
    assert trip.features.shape == (3, 256)
    alone = [build(patch_stages=(s,)).round_trip(images(3), BOTH).patches for s in (1, 2)]
    assert alone[0].shape[-1] > alone[1].shape[-1]  # the grid is that of the shallower stage
    grid = alone[0].shape[-2:]
    resized = functional.interpolate(alone[1], grid, mode="bilinear", align_corners=False)
    torch.testing.assert_close(trip.patches, torch.cat([alone[0], resized], dim=1))


@pytest.mark.parametrize("model", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext"])
def test_one_pass_gives_what_two_give(build, images, model):
    backbone = build(model=model, patch_stages=(1, 2), input_size=32)
    both = backbone.round_trip(images(2), BOTH)
    alone = backbone.round_trip(images(2), frozenset({"patches"}))
    torch.testing.assert_close(alone.patches, both.patches)
    torch.testing.assert_close(
        backbone.round_trip(images(2), FEATURES).features, both.features, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("model", ["test_efficientnet", "test_vit"])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("pooled", [("head",), ("head", "stage2", "stage1-std", "stage0-max")])
def test_features_do_not_depend_on_the_batch(build, images, model, size, pooled):
    chosen = {"pooled": pooled, "patch_stages": (1, 2), "patch_stride": 8, "neighbourhood": 3}
    backbone, batch = build(model=model, **chosen), images(8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    whole = backbone.round_trip(batch, BOTH)
    parts = [backbone.round_trip(batch[rows], BOTH) for rows in order.split(size)]
    for name in BOTH:
        found = torch.cat([part.get(name) for part in parts])
        torch.testing.assert_close(found, whole.get(name)[order], rtol=1e-4, atol=1e-5)


def test_images_are_resized_inside_and_normalised_as_asked(build, images):
    backbone = build(mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    flat = torch.full((1, 3, 20, 20), 0.0)  # 0 in [-1, 1] is 0.5 in [0, 1]
    seen = backbone.prepare(flat)
    assert seen.shape == (1, 3, 32, 32)
    expected = torch.tensor([(0.5 - 0.1) / 0.5, (0.5 - 0.2) / 1, (0.5 - 0.3) / 2])
    torch.testing.assert_close(seen.mean(dim=(0, 2, 3)), expected)
    assert seen.is_contiguous(memory_format=torch.channels_last)


def test_images_of_the_right_size_are_not_resampled(build, images):
    batch = images(2, side=32)
    own = build(spec=(3, 32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    torch.testing.assert_close(own.prepare(batch), batch)


def test_shrinking_is_antialiased(build):
    stripes = torch.ones(1, 3, 128, 128)
    stripes[..., ::2] = -1  # finer than 32 pixels can show: grey
    seen = build(spec=(3, 128, 128), mean=(0.5,) * 3, std=(0.5,) * 3).prepare(stripes)
    assert seen[..., 4:-4].abs().max() < 0.1


def test_a_grey_image_is_the_colour_image_of_three_equal_channels(build, images):
    grey = images(2, channels=1)
    one, three = build(spec=(1, 20, 20)), build()
    torch.testing.assert_close(
        one.round_trip(grey, FEATURES).features,
        three.round_trip(grey.expand(-1, 3, -1, -1), FEATURES).features,
    )


def test_pooling_is_over_the_positions_of_the_last_map(build, images):
    pooled = {
        how: build(pool=how).round_trip(images(2), FEATURES).features
        for how in ("model", "avg", "max", "avgmax")
    }
    torch.testing.assert_close(pooled["model"], pooled["avg"])
    torch.testing.assert_close(pooled["avgmax"], (pooled["avg"] + pooled["max"]) / 2)
    assert (pooled["max"] >= pooled["avg"]).all()


def test_a_large_batch_is_computed_in_parts(build, images, monkeypatch):
    backbone, batch = build(patch_stages=(1,)), images(5)
    whole = backbone.round_trip(batch, BOTH)
    monkeypatch.setattr("anokit_timm.networks.PART", 2 * 32 * 32)
    seen = []
    backbone.folding.network().conv_stem.register_forward_hook(
        lambda _, given, __: seen.append(len(given[0]))
    )
    parts = backbone.round_trip(batch, BOTH)
    assert seen == [2, 2, 1]
    for name in BOTH:
        torch.testing.assert_close(parts.get(name), whole.get(name))


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        ((3, 20, 20), (160, 160)),
        ((1, 40, 60), (160, 240)),
        ((3, 160, 161), (160, 161)),
        ((3, 300, 200), (300, 200)),
    ],
)
def test_without_a_size_images_keep_theirs_but_small_ones_are_enlarged(build, spec, size):
    backbone = build(spec, input_size=None, patch_stages=(2,))
    images = torch.zeros(1, *spec)
    assert backbone.prepare(images).shape == (1, 3, *size)
    grid = backbone.round_trip(images, BOTH).patches.shape[-2:]
    assert grid == (-(-size[0] // 8), -(-size[1] // 8))


def test_a_size_that_is_built_into_a_model_stays(build):
    assert build((3, 200, 300), model="test_vit", input_size=None).size == (160, 160)
    assert build((3, 200, 300), model="test_vit", input_size=64).size == (64, 64)


def test_the_network_runs_no_deeper_than_asked_for(build, images):
    backbone = build(pooled=("stage1", "stage2"), patch_stages=(3,))
    network, ran = backbone.folding.network(), []
    for name, layer in [("head", network.conv_head), *enumerate(network.blocks)]:
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    for needs, deepest in ((FEATURES, 2), (frozenset({"patches"}), 3), (BOTH, 3)):
        ran.clear()
        backbone.round_trip(images(1), needs)
        assert ran == list(range(network.stage_ends[deepest]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "test_eficientnet"}, r"no model 'test_eficientnet'; did you mean 'test_effi"),
        ({"model": "test_efficientnet.nowhere"}, "pretrained are: test_efficientnet.r160_in1k"),
        ({"patch_stages": (0, 99)}, r"32×32 pixels with patch_stages = \[0, 99\].*other patch_st"),
        ({"pooled": ("stage9",)}, r"32 pixels with pooled = \['stage9'\].*size or other pooled"),
        ({"model": "test_vit", "input_size": 8}, "'test_vit' cannot .* 8×8 pixels"),
    ],
)
def test_a_wish_that_the_model_cannot_grant_is_one_message(build, wrong, message):
    with pytest.raises(RecipeError, match=message):
        build(**wrong)


def test_images_of_two_channels_are_refused(build):
    with pytest.raises(DataError, match=r"1 or 3 channels, got 2×20×20"):
        build(spec=(2, 20, 20))


def test_images_of_another_shape_are_refused(build, images):
    with pytest.raises(ValueError, match=r"expected shape \[any, 3, 20, 20\]"):
        build().round_trip(images(1, side=24), FEATURES)
