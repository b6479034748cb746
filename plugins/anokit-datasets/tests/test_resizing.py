from __future__ import annotations

import numpy as np
import pytest

from anokit_datasets.resizing import Resize, bilinear, box, fit, fit_mask


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
