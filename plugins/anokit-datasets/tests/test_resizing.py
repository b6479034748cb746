from __future__ import annotations

import numpy as np
import pytest

from anokit_datasets.resizing import (
    Resize,
    bilinear,
    box,
    fit,
    fit_mask,
    resize,
    to_planes,
    view,
)


def test_constant_stays_constant() -> None:
    image = np.full((2, 3, 7, 9), 77, np.uint8)
    assert (bilinear(image, 4, 20) == 77).all()


def test_halving_is_close_to_block_means() -> None:
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (1, 1, 16, 1))
    assert np.abs(bilinear(ramp, 8, 8)[..., 1:-1].astype(int) - box(ramp, 8)[..., 1:-1]).max() <= 1


def test_box_is_a_mean() -> None:
    image = np.array([[0, 10], [20, 30]], np.uint8)[None, None]
    assert box(image, 1).item() == 15


def stripes(height: int, width: int) -> np.ndarray:
    """Return an image whose left half is 0 and whose right half is 200."""
    image = np.zeros((1, height, width), np.uint8)
    image[:, :, width // 2 :] = 200
    return image


@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(8, 16), (16, 8), (16, 16), (3, 40)])
def test_shape_and_order_of_halves(mode: Resize, shape: tuple[int, int]) -> None:
    image = fit(stripes(*shape), 8, mode)
    assert image.shape == (1, 8, 8)
    assert image[0, :, 0].max() == 0
    assert image[0, :, -1].min() == 200


def test_crop_keeps_the_centre() -> None:
    image = np.zeros((1, 4, 12), np.uint8)
    image[:, :, 4:8] = 9
    assert (fit(image, 4, "crop") == 9).all()


def test_pad_repeats_edges() -> None:
    image = np.zeros((1, 2, 8), np.uint8)
    image[:, 0], image[:, 1] = 10, 90
    padded = fit(image, 8, "pad")
    assert (padded[0, :4] == 10).all()
    assert (padded[0, 4:] == 90).all()


def test_mask_goes_with_its_image() -> None:
    mask = np.zeros((8, 16), bool)
    mask[:, 8:] = True
    for mode in ("stretch", "crop"):
        assert fit_mask(mask, 4, mode).tolist() == [[False, False, True, True]] * 4
    padded = fit_mask(mask, 16, "pad")
    assert not padded[:4].any()
    assert not padded[12:].any()
    assert (padded[4:12] == mask).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [(20, 30), (64, 64), (150, 17)])
def test_fast_resizing_agrees_with_float_within_one_grey_level(
    channels: int, shape: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (channels, 60, 70), np.uint8)
    fast = resize(to_planes(noise), *shape)
    assert fast.shape == (channels, *shape)
    assert np.abs(fast.astype(int) - bilinear(noise[None], *shape)[0]).max() <= 1


def test_a_box_is_resized_as_the_whole_would_be() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 60, 90), np.uint8)
    planes = to_planes(noise)
    whole = resize(planes, 20, 30)
    assert (resize(planes, 10, 10, (30, 15, 60, 45)) == whole[:, 5:15, 10:20]).all()


@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (33, 33), (7, 90)])
def test_view_is_what_fit_shows(mode: Resize, shape: tuple[int, int]) -> None:
    # Each pixel holds its place, so that the middles of what comes out tell where it lies.
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    size = 10
    left, top, right, bottom = view(height, width, size, mode)
    down, across = (bottom - top) / size, (right - left) / size
    for axis, image, start, step, length in (
        (1, fit(rows[None], size, mode), top, down, height),
        (2, fit(columns[None], size, mode), left, across, width),
    ):
        seen = image[0].astype(float).mean(axis=2 - axis)
        expected = np.clip(start + (np.arange(size) + 0.5) * step - 0.5, 0, length - 1)
        assert np.abs(seen - expected).max() <= max(step, 1) / 2 + 0.5
    assert (left < 0 or top < 0) == (mode == "pad" and height != width)
