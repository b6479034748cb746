from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.data.levels import to_uint8, with_channels
from anokit.data.pictures import decode, decode_picture, header_size, try_to_decode
from anokit.data.tiffs import TURNS
from anokit.errors import DataError
from anokit_datasets.resizing import fit


def rgb(height: int = 3, width: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4), ("I;16", 1)],
)
def test_png_modes_keep_their_channels(tmp_path: Path, mode: str, channels: int) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(rgb()).convert("L" if mode == "I;16" else mode).save(path)
    if mode == "I;16":
        Image.fromarray(np.full((3, 5), 257 * 40, np.uint16)).save(path)
    image = decode(path)
    assert image.shape == (channels, 3, 5)
    assert image.dtype == np.uint8
    if mode == "I;16":
        assert (image == 40).all()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_formats_are_exact(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(rgb()).save(path, **options)
    assert (decode(path) == rgb().transpose(2, 0, 1)).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(path)
    assert decode(path).shape == (3, 4, 4)
    assert decode(path).min() > 250


def test_palette_with_transparency_has_alpha(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(rgb()).convert("P").save(path, transparency=0)
    assert decode(path).shape[0] == 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_orientation_is_respected(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = rgb()
    stored = upright
    if orientation in TURNS:
        # What a camera stored is undone by the inverse of what a reader does.
        rows, columns, swap = TURNS[orientation]
        stored = stored.swapaxes(0, 1) if swap else stored
        stored = np.flip(stored, [axis for axis, turn in ((0, rows), (1, columns)) if turn])
    path = tmp_path / f"image.{suffix}"
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[274] = orientation
    image.save(path, exif=exif)
    assert (decode(path) == upright.transpose(2, 0, 1)).all()


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tif_of_many_channels(tmp_path: Path, planar: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (6, 7, 5)).astype(np.uint16)
    path = tmp_path / "image.tif"
    stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    image = decode(path)
    assert image.shape == (5, 6, 7)
    assert np.abs(image.transpose(1, 2, 0) - pixels / 257).max() <= 0.5


def test_white_level_and_floats(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.array([[0, 2048, 4095, 9000]], np.uint16))
    assert decode(path, 4095).ravel().tolist() == [0, 128, 255, 255]
    tifffile.imwrite(path, np.array([[-1.0, 0.0, 0.5, 1.0]], np.float32))
    assert decode(path).ravel().tolist() == [0, 0, 128, 255]
    tifffile.imwrite(path, np.array([[np.nan, 0.0]], np.float32))
    with pytest.raises(ValueError, match="not finite"):
        decode(path)


@pytest.mark.parametrize("white_level", [None, 1.0, 4095.0, 65534.5, 1e6])
def test_every_value_of_16_bits_is_rounded_as_a_float_would_be(white_level: float | None) -> None:
    values = np.arange(2**16, dtype=np.uint16).reshape(1, 256, 256)
    expected = np.rint(values * (255 / (white_level or 65535.0))).clip(0, 255)
    assert (to_uint8(values, white_level) == expected).all()
    assert (to_uint8(values.astype(">u2"), white_level) == expected).all()


def test_stack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((9, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(ValueError, match="stack"):
        decode(path)


def test_channels_are_converted_or_refused() -> None:
    image = np.stack([np.full((2, 2), value, np.uint8) for value in (10, 20, 30, 40)])
    path = Path("x.png")
    grey = with_channels(image, 1, path)
    assert grey.shape == (1, 2, 2)
    assert grey[0, 0, 0] == round(0.299 * 10 + 0.587 * 20 + 0.114 * 30)
    assert (with_channels(image, 3, path) == image[:3]).all()
    assert (with_channels(image[:1], 3, path) == 10).all()
    assert (with_channels(image[:2], 1, path) == image[:1]).all()
    assert with_channels(image, 4, path) is image
    with pytest.raises(DataError, match=r"x\.png has 3 channels and cannot be given 5"):
        with_channels(image[:3], 5, path)


def photograph(height: int, width: int) -> Image.Image:
    """Return a made colour photograph: fine and coarse structure, and sharp edges."""
    source = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    fall = 1 / np.maximum(np.hypot(rows, columns), 1 / height)
    noise = np.fft.rfft2(source.standard_normal((3, height, width)))
    pixels = np.fft.irfft2(noise * fall, s=(height, width))
    pixels = (pixels - pixels.min()) / np.ptp(pixels)
    pixels[:, height // 3 : height // 2, width // 4 : width // 2] **= 3
    return Image.fromarray((255 * pixels.transpose(1, 2, 0)).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [16, 30, 60])
def test_drafted_jpeg_is_nearly_the_same_image(tmp_path: Path, orientation: int, size: int) -> None:
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[274] = orientation
    photograph(303, 401).save(path, quality=90, exif=exif)
    full = decode_picture(path)
    drafted = decode_picture(path, None, lambda height, width: (2 * size, 2 * size))
    assert drafted.size == full.size
    assert 2 * size <= min(drafted.pixels.shape[1:]) <= max(full.size) / 2
    one = fit(full.pixels, size, "stretch")
    other = fit(drafted.pixels, size, "stretch", drafted.size, drafted.window)
    difference = np.abs(one.astype(int) - other)
    assert difference.mean() < 1
    assert difference.max() <= 8


def test_no_draft_where_it_would_be_too_small(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    photograph(100, 90).save(path)
    drafted = decode_picture(path, None, lambda height, width: (46, 46))
    assert (drafted.pixels == decode(path)).all()
    assert decode_picture(path, None, lambda height, width: (45, 45)).pixels.shape == (3, 50, 45)


def test_sides_of_a_file_from_its_header(tmp_path: Path) -> None:
    Image.fromarray(rgb(3, 5)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((6, 7, 5), np.uint16), planarconfig="contig")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((5, 6, 7), np.uint16), planarconfig="separate")
    Image.fromarray(rgb(3, 5)).convert("P").save(tmp_path / "d.tif")
    (tmp_path / "e.png").write_bytes(b"junk")
    sizes = [header_size(path) for path in sorted(tmp_path.iterdir())]
    assert sizes == [(3, 5), (6, 7), (6, 7), (3, 5), None]


def written_tiff(path: Path, width: int, height: int, compression: int = 1) -> Path:
    """Write a tif by hand, of nine tags and three bytes, whatever its header says."""
    tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 122, 277: 1}
    tags |= {278: height, 279: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + b"abc")
    return path


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("side", [100_000, 2**31])
def test_a_tif_that_claims_what_it_does_not_hold_takes_no_memory(
    tmp_path: Path, side: int, compression: int
) -> None:
    path = written_tiff(tmp_path / "bomb.tif", side, side, compression)
    tracemalloc.start()
    try:
        picture, reason = try_to_decode(path, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert picture is None
    told = (
        f"{side}×{side} values in 125 bytes: cut off, or a decompression bomb; if it is neither, "
    )
    assert reason == f"{told}ANOKIT_MAX_PIXELS={-(-(side**2) // 3)} admits it"
    assert peak < 2**27


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0)])
def test_an_image_without_a_pixel_is_none(tmp_path: Path, width: int, height: int) -> None:
    picture, reason = try_to_decode(written_tiff(tmp_path / "a.tif", width, height), None)
    assert (picture, reason) == (None, f"has no pixels: its size is {height}×{width}")
