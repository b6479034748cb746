"""One picture is one array, however it was saved; a mask is what is not background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.data import find_images, try_to_decode, try_to_decode_mask, with_channels

Y, X = np.mgrid[:24, :32]
PICTURE = np.stack([X * 7, Y * 9, 250 - X * 5], axis=2).astype(np.uint8)
ALPHA = np.full((24, 32, 1), 128, np.uint8)


def pillow(mode: str, suffix: str):
    return lambda place: Image.fromarray(PICTURE).convert(mode).save(place.with_suffix(suffix))


def tiff(values: np.ndarray, **options: object):
    return lambda place: tifffile.imwrite(place.with_suffix(".tif"), values, **options)


def turned(place: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(PICTURE)).save(place.with_suffix(".png"), exif=exif)


RGB = {"photometric": "rgb"}
DEEP = PICTURE.astype(np.uint16) * 257
INK = np.concatenate([65535 - DEEP, np.zeros_like(DEEP[..., :1])], axis=2)
WITH_ALPHA = np.concatenate([DEEP, ALPHA.astype(np.uint16) * 257], axis=2)
TIMES_ALPHA = np.concatenate(
    [(DEEP * (ALPHA / 255)).astype(np.uint16), ALPHA.astype(np.uint16) * 257], axis=2
)
WAYS = {
    "png": pillow("RGB", ".png"),
    "upper case": pillow("RGB", ".PNG"),
    "rgba png": pillow("RGBA", ".png"),
    "jp2": pillow("RGB", ".jp2"),
    "tga": pillow("RGB", ".tga"),
    "cmyk tif": pillow("CMYK", ".tif"),
    "lab tif": pillow("LAB", ".tif"),
    "ycbcr tif": pillow("YCbCr", ".tif"),
    "rgba tif": pillow("RGBA", ".tif"),
    "turned": turned,
    "16-bit tif": tiff(DEEP, **RGB),
    "32-bit integer tif": tiff(DEEP.astype(np.int32), **RGB),
    "32-bit unsigned tif": tiff(DEEP.astype(np.uint32), **RGB),
    "float tif": tiff((PICTURE / 255).astype(np.float32), **RGB),
    "double tif": tiff(PICTURE / 255, **RGB),
    "16-bit cmyk": tiff(INK, photometric="separated"),
    "16-bit alpha": tiff(WITH_ALPHA, extrasamples=["unassalpha"], **RGB),
    "16-bit alpha in the colours": tiff(TIMES_ALPHA, extrasamples=["assocalpha"], **RGB),
    "planes": tiff(DEEP.transpose(2, 0, 1), planarconfig="separate", **RGB),
}


@pytest.mark.parametrize("way", WAYS)
def test_one_picture_is_one_array(tmp_path: Path, way: str):
    WAYS[way](tmp_path / "picture")
    (path,) = find_images(tmp_path)
    picture, reason = try_to_decode(path, None)
    assert picture is not None, reason
    assert picture.clipped is None
    got = with_channels(picture.pixels, 3, path).transpose(1, 2, 0).astype(int)
    assert got.shape == PICTURE.shape
    assert abs(got - PICTURE).mean() < 3


@pytest.mark.parametrize(
    "values",
    [
        np.array([0, 70000], np.int32),
        np.array([0, 255], np.float32),
        np.array([-0.5, 0.5], np.float64),
        np.array([-3, 5], np.int16),
    ],
)
def test_values_out_of_range_are_seen(tmp_path: Path, values: np.ndarray):
    tifffile.imwrite(tmp_path / "a.tif", np.tile(values, (4, 2)))
    picture, _ = try_to_decode(tmp_path / "a.tif", None)
    assert picture is not None
    assert picture.clipped == (values.min(), values.max())


MARK = np.zeros((24, 32), bool)
MARK[4:12, 8:20] = True


def saved(values: np.ndarray, suffix: str = ".png"):
    return lambda place: Image.fromarray(values).save(place.with_suffix(suffix))


def palette(place: Path) -> None:
    image = Image.fromarray(MARK.astype(np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(place.with_suffix(".png"))


SEEN_BY_ALPHA = np.concatenate(
    [np.zeros((24, 32, 3), np.uint8), (MARK * 255).astype(np.uint8)[..., None]], axis=2
)
OPAQUE = np.dstack([MARK * 255, MARK * 255, MARK * 255, np.full((24, 32), 255)]).astype(np.uint8)
MASKS = {
    "8 bits": saved((MARK * 255).astype(np.uint8)),
    "labels in 8 bits": saved(MARK.astype(np.uint8)),
    "labels in 16 bits": saved(MARK.astype(np.uint16)),
    "labels in 32 bits": tiff(MARK.astype(np.int32)),
    "one bit": saved(MARK),
    "float": tiff(MARK.astype(np.float32)),
    "jpeg": saved((MARK * 255).astype(np.uint8), ".jpg"),
    "colour": saved(MARK[..., None] * np.array([0, 0, 1], np.uint8)),
    "palette": palette,
    "alpha": saved(SEEN_BY_ALPHA),
    "opaque": saved(OPAQUE),
}


@pytest.mark.parametrize("way", MASKS)
def test_a_mask_marks_what_is_not_background(tmp_path: Path, way: str):
    MASKS[way](tmp_path / "mask")
    (path,) = find_images(tmp_path)
    mask, reason = try_to_decode_mask(path)
    assert mask is not None, reason
    assert (mask == MARK).mean() > (0.98 if way == "jpeg" else 0.9999)
