"""Originals as they are shown, and maps painted over them."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from anokit.errors import DataError
from anokit.report.heat import Heat
from anokit.report.originals import read_original
from anokit.report.overlays import STRONGEST, paint, ramp

SCALE = SimpleNamespace(low=0.0, high=1.0, threshold=0.5)
GREY = Image.new("RGB", (120, 80), (128, 128, 128))


def painted(values, scale=SCALE, original=GREY, **where):
    picture = paint(original, Heat(np.asarray(values, np.float32), **where), scale)
    assert picture.size == original.size
    return np.asarray(picture).astype(int)


def change(values, *arguments, original=GREY, **more):
    """Return how far painting moved each pixel, ``[H, W]``."""
    found = painted(values, *arguments, original=original, **more)
    return np.abs(found - np.asarray(original).astype(int)).sum(axis=-1)


def test_what_is_at_the_low_end_leaves_the_photograph_as_it_is():
    assert not change(np.full((4, 6), -3.0)).any()
    assert not change(np.full((4, 6), 0.0)).any()


def test_colours_are_those_of_the_scale_and_not_of_the_map():
    other = np.full((4, 6), 0.2)
    other[0, 0] = 50.0
    alone, beside = painted(np.full((4, 6), 0.2)), painted(other)
    assert (alone[40:, 60:] == beside[40:, 60:]).all()
    wide = SimpleNamespace(low=0.0, high=2.0, threshold=1.0)
    assert (painted(np.full((4, 6), 0.4), wide) == alone).all()


def test_colours_grow_with_the_map_and_then_saturate():
    sizes = [change(np.full((2, 2), level)).mean() for level in (0, 0.2, 0.4, 0.6, 1.0)]
    assert sizes == sorted(sizes)
    assert (painted(np.full((2, 2), 1.0)) == painted(np.full((2, 2), 9.0))).all()


def test_the_photograph_shows_through_where_a_map_is_highest():
    steps = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (4, 1))).convert("RGB")
    row = painted(np.ones((2, 2)), original=steps)[0]
    assert (row[-1] - row[0] >= 255 * (1 - STRONGEST) - 1).all()


def test_a_map_is_enlarged_smoothly():
    values = np.zeros((4, 6))
    values[1, 2] = 0.4  # below the threshold: no line
    row = change(values)[30]
    # Blocks would be 20 pixels of one colour with one step on either side.
    assert np.abs(np.diff(row)).max() < 0.25 * row.max()
    assert abs(int(row.argmax()) - 50) <= 2


@pytest.mark.parametrize("factor", [1, 7])
def test_the_line_runs_where_the_map_crosses_the_threshold(factor):
    values = np.tile(np.linspace(0, 1, 12), (8, 1))
    at = SimpleNamespace(low=10.0, high=11.0, threshold=0.5)  # no colour: the line alone
    original = Image.new("RGB", (120 * factor, 80 * factor), (128, 128, 128))
    moved = change(values, at, original=original)
    columns = np.flatnonzero(moved.any(axis=0))
    assert abs(columns.mean() - 60 * factor) <= 2
    assert len(columns) <= 10 * max(1, factor / 2)
    assert moved[2:-2, columns].max(axis=1).all()


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0, 2.0, np.inf, np.nan])
def test_there_is_no_line_where_the_threshold_is_not_crossed(threshold):
    values = np.tile(np.linspace(0, 1, 12), (8, 1))
    assert not change(values, SimpleNamespace(low=10.0, high=11.0, threshold=threshold)).any()


def test_a_map_of_a_crop_lies_on_the_crop_alone():
    moved = change(np.ones((3, 3)), box=(40.0, 0.0, 120.0, 80.0), size=(240.0, 160.0)) > 0
    assert moved[:40, 20:60].all()
    assert moved.sum() == 40 * 40


def test_of_a_padded_map_only_what_lies_on_the_photograph_is_shown():
    # A 120×80 photograph padded to 120×120; what is hot lies in the padding, and in one corner.
    values = np.zeros((120, 120))
    values[:20] = values[100:] = 0.4
    values[20:30, :10] = 0.4
    moved = change(values, box=(0.0, -20.0, 120.0, 100.0), size=(120.0, 80.0)) > 0
    assert moved[1:8, 1:8].all()
    assert not moved[14:].any()
    assert not moved[:, 14:].any()


def test_a_box_beside_the_photograph_shows_nothing():
    assert not change(np.ones((3, 3)), box=(2.0, 0.0, 3.0, 1.0)).any()


def test_a_scale_without_width_is_a_step():
    flat = SimpleNamespace(low=0.0, high=0.0, threshold=0.0)
    assert not change(np.zeros((3, 3)), flat).any()
    assert change(np.full((3, 3), 0.1), flat).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_is_refused(value):
    values = np.zeros((4, 4))
    values[1, 2] = value
    with pytest.raises(DataError, match="1 of 16 values of the map are not finite"):
        painted(values)


@pytest.mark.parametrize("box", [(5.0, 0.0, 5.0, 1.0), (0.0, 1.0, 1.0, 0.0)])
def test_a_map_without_a_place_is_refused(box):
    with pytest.raises(DataError, match="nothing can lie"):
        painted(np.zeros((2, 2)), box=box)


@pytest.mark.parametrize("size", [(2, 3), (97, 1), (1027, 511), (1193, 57), (1600, 1)])
def test_any_size_of_picture_can_be_painted(size):
    assert change([[0, 1], [1, 0]], original=Image.new("RGB", size)).any()


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_a_scale_that_makes_no_sense_is_refused(low, high):
    with pytest.raises(DataError, match="low not above high"):
        painted(np.zeros((2, 2)), SimpleNamespace(low=low, high=high, threshold=0.5))


def test_the_ramp_of_the_legend_has_the_colours_of_the_pictures():
    red, green, blue, alpha = map(float, ramp()[-1][4:-1].replace("/", "").split())
    expected = [128 + alpha * (colour - 128) for colour in (red, green, blue)]
    assert np.abs(painted(np.ones((2, 2)))[0, 0] - expected).max() <= 2


def halves(width=6, height=4):
    """Return pixels ``[H, W]`` of which the left half is dark."""
    pixels = np.full((height, width), 200, np.uint8)
    pixels[:, : width // 2] = 10
    return pixels


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_originals_of_any_mode_are_shown(tmp_path, mode):
    pixels = halves() >= 100 if mode == "1" else halves()
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 16)  # 12 bits in a file of 16
    elif mode == "F":
        image = Image.fromarray(pixels.astype(np.float32) / 255)
    elif mode != "1":
        image = image.convert(mode)
    path = tmp_path / "image.tif"
    image.save(path)
    shown = read_original(path)
    assert shown.mode == "RGB"
    dark, bright = (np.asarray(shown)[:, place].mean() for place in (0, -1))
    assert dark < 20
    assert 185 < bright <= 255


def test_a_white_level_is_heeded(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(path)
    assert np.asarray(read_original(path, levels=(0.0, 4000.0))).max() == 64


def test_transparency_is_laid_on_white(tmp_path):
    path = tmp_path / "image.png"
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(path)
    assert np.asarray(read_original(path)).min() == 255


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
@pytest.mark.parametrize(
    ("orientation", "size", "below", "right"),
    [(3, (600, 400), True, False), (6, (400, 600), True, True), (8, (400, 600), False, False)],
)
def test_originals_are_upright(tmp_path, suffix, orientation, size, below, right):
    path = tmp_path / f"image.{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    # Bright in its top right quarter, as stored.
    pixels = np.zeros((400, 600), np.uint8)
    pixels[:200, 300:] = 255
    Image.fromarray(pixels).save(path, exif=exif)
    shown = read_original(path)
    assert shown.size == size
    rows, columns = np.nonzero(np.asarray(shown)[..., 0] > 128)
    assert (rows.mean() > size[1] / 2) == below
    assert (columns.mean() > size[0] / 2) == right


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((3000, 1500), (1600, 800)),
        ((1600, 20), (1600, 20)),
        ((5000, 1), (1600, 1)),
        ((600, 300), (600, 300)),
        ((100, 60), (500, 300)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_are_bounded_and_keep_their_aspect(tmp_path, size, expected, suffix):
    path = tmp_path / f"image.{suffix}"
    Image.new("L", size).save(path)
    assert read_original(path).size == expected


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: the file is no longer there"):
        read_original(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png: cannot be read as an image"):
        read_original(tmp_path / "text.png")
    Image.fromarray(halves(64, 64)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.png: cannot be read as an image"):
        read_original(tmp_path / "cut.png")


def test_a_black_level_is_heeded(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.array([[300, 360], [400, 500]], np.uint16)).save(path)
    shown = np.unique(np.asarray(read_original(path, levels=(300.0, 400.0))))
    assert shown.tolist() == [0, 153, 255]
