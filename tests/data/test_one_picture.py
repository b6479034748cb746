"""One picture is one array, however it was saved; a mask is what is not background."""

from __future__ import annotations

import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.data import find_images, header_size, try_to_decode, try_to_decode_mask, with_channels
from anokit.data.pictures import decode, decode_picture

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


def deep_png(values: np.ndarray):
    return lambda place: place.with_suffix(".png").write_bytes(
        imagecodecs.png_encode(np.ascontiguousarray(values))
    )


def keyed(place: Path) -> None:
    Image.fromarray(PICTURE).save(place.with_suffix(".png"), transparency=(1, 2, 3))


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
    "16-bit png": deep_png(DEEP),
    "16-bit png with alpha": deep_png(WITH_ALPHA),
    "png with a transparent colour": keyed,
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


ALPHAS = {
    "grey": lambda place: Image.fromarray(PICTURE[..., 0]).save(
        place.with_suffix(".png"), transparency=7
    ),
    "colour": keyed,
    "deep grey": deep_png(WITH_ALPHA[..., 2:]),
    "deep colour": deep_png(WITH_ALPHA),
    "tif": tiff(WITH_ALPHA, extrasamples=["unassalpha"], **RGB),
}


@pytest.mark.parametrize("way", ALPHAS)
def test_alpha_is_a_channel_that_no_level_scales(tmp_path: Path, way: str):
    ALPHAS[way](tmp_path / "picture")
    (path,) = tmp_path.iterdir()
    plain, levelled = (decode(path, white) for white in (None, 30000.0))
    assert len(plain) == (2 if "grey" in way else 4)
    assert (plain[-1] == levelled[-1]).all()
    if "deep" in way or way == "tif":
        assert (plain[-1] == 128).all()
        assert levelled[0].astype(int).sum() > 1.2 * plain[0].sum()


@pytest.mark.parametrize("values", [DEEP // 16, DEEP[..., 0] // 16])
@pytest.mark.parametrize("way", [deep_png, tiff])
def test_levels_are_of_the_file_s_own_values(tmp_path: Path, way, values: np.ndarray):
    way(values)(tmp_path / "picture")
    (path,) = tmp_path.iterdir()
    picture = decode_picture(path, 4095.0)
    assert picture.values == (values.min(), values.max())
    got = picture.pixels.transpose(1, 2, 0).squeeze().astype(int)
    assert abs(got - values / 4095 * 255).max() <= 0.5


def test_numbers_that_are_no_grey_values_are_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.complex64))
    assert try_to_decode(tmp_path / "a.tif", None) == (
        None,
        "numbers of type complex64; expected integers or floats",
    )


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
GREY = (MARK * 255).astype(np.uint8)
COLOURED = Image.fromarray(np.where(MARK[..., None], (0, 0, 128), (0, 0, 0)).astype(np.uint8))


MASKS = {
    "8 bits": saved((MARK * 255).astype(np.uint8)),
    "labels in 8 bits": saved(MARK.astype(np.uint8)),
    "labels in 16 bits": saved(MARK.astype(np.uint16)),
    "labels in 32 bits": tiff(MARK.astype(np.int32)),
    "one bit": saved(MARK),
    "unsigned labels in 32 bits": tiff(MARK.astype(np.uint32) * 2**31),
    "float": tiff(MARK.astype(np.float32)),
    "float up to 255": tiff(MARK.astype(np.float32) * 255),
    "double": tiff(MARK * 1e-3),
    "palette of a decoder's choice": lambda place: COLOURED.convert(
        "P", palette=Image.Palette.ADAPTIVE, colors=2
    ).save(f"{place}.gif"),
    "palette with transparency": lambda place: COLOURED.quantize(2).save(
        place.with_suffix(".png"), transparency=b"\xff\xff"
    ),
    "grey with alpha": saved(np.dstack([GREY, np.full_like(GREY, 255)])),
    "cmyk": lambda place: COLOURED.convert("CMYK").save(place.with_suffix(".tif")),
    "webp": saved(GREY, ".webp"),
    "avif": saved(GREY, ".avif"),
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
    assert (mask == MARK).mean() > (0.98 if way in ("jpeg", "webp", "avif") else 0.9999)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif"])
def test_a_mask_whose_black_strayed_marks_none_of_it(tmp_path: Path, suffix: str):
    down, across = np.mgrid[:120, :160]
    rough = (down - 60) ** 2 + (across - 80) ** 2 < 40**2
    path = tmp_path / f"mask{suffix}"
    with_loss = {"compression": "jpeg"} if suffix == ".tif" else {"quality": 30}
    Image.fromarray((rough * 255).astype(np.uint8)).save(path, **with_loss)
    assert len(np.unique(decode(path))) > 2
    mask, _ = try_to_decode_mask(path)
    assert mask is not None
    assert (mask == rough).mean() > 0.995


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_labels_that_loss_may_have_made_are_refused(tmp_path: Path, suffix: str):
    Image.fromarray(MARK.astype(np.uint8) * 3).save(tmp_path / f"mask{suffix}", quality=100)
    mask, reason = try_to_decode_mask(tmp_path / f"mask{suffix}")
    assert mask is None
    assert "in a format that alters black: save a PNG" in reason


PAGES = {
    "sizes": [{"data": PICTURE}, {"data": PICTURE[:9]}],
    "colours": [{"data": PICTURE}, {"data": PICTURE[..., 0]}],
    "plain": [{"data": PICTURE, "metadata": None}, {"data": PICTURE[:, :7], "metadata": None}],
}


@pytest.mark.parametrize("way", PAGES)
def test_a_tif_of_several_images_is_refused_whatever_their_sizes(tmp_path: Path, way: str):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in PAGES[way]:
            file.write(**page)
    picture, reason = try_to_decode(tmp_path / "a.tif", None)
    assert picture is None
    assert reason.startswith("2 images that differ ((24, 32, 3), (")
    assert try_to_decode_mask(tmp_path / "a.tif") == (None, reason)


def test_a_stack_with_a_palette_is_refused(tmp_path: Path):
    page = Image.fromarray(PICTURE).quantize(8)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    picture, reason = try_to_decode(tmp_path / "a.tif", None)
    assert picture is None
    assert "a stack of images" in reason


@pytest.mark.parametrize("first", ["small", "whole"])
def test_a_small_copy_in_a_tif_is_no_second_image(tmp_path: Path, first: str):
    pages = [{"data": PICTURE[::4, ::4].copy(), "subfiletype": 1}, {"data": PICTURE}]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages if first == "small" else pages[::-1]:
            file.write(**page, photometric="rgb", metadata=None)
    picture, reason = try_to_decode(tmp_path / "a.tif", None)
    assert picture is not None, reason
    assert (picture.pixels.transpose(1, 2, 0) == PICTURE).all()
    assert header_size(tmp_path / "a.tif") == PICTURE.shape[:2]


def test_why_a_file_is_no_picture_is_said_in_words(tmp_path: Path):
    path = tmp_path / "a file.png"
    path.write_text("no picture")
    reasons = [try_to_decode(path, None)[1], try_to_decode_mask(path)[1]]
    path.write_bytes(b"")
    reasons += [try_to_decode(path, None)[1], try_to_decode_mask(path)[1]]
    path.unlink()
    reasons += [try_to_decode(path, None)[1], try_to_decode_mask(path)[1]]
    os.mkfifo(path)
    reasons += [try_to_decode(path, None)[1], try_to_decode_mask(path)[1]]
    assert header_size(path) is None
    assert reasons[::2] == reasons[1::2]
    assert reasons[::2] == [
        "is no image, or in a format that is not known",
        "is an empty file",
        "No such file or directory",
        "is no regular file but a folder, pipe, socket or device",
    ]
