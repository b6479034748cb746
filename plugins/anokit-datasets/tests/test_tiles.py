from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_datasets.folder import image_folder
from anokit_datasets.picture_options import ImageFolderOptions
from anokit_datasets.reader import folder_reader
from anokit_datasets.resizing import bilinear
from anokit_datasets.source import Source
from anokit_datasets.tiling import tile_boxes, tile_count

TILES = {"size": 16, "overlap": 4}


def options(root: Path, **more: object) -> ImageFolderOptions:
    return ImageFolderOptions.model_validate({"root": str(root), "tiles": TILES, **more})


def read(root: Path, **more: object) -> Source:
    return image_folder(options(root, **more))


def photograph(path: Path, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Write a noisy image ``[height, width]`` that is never the same twice; return it."""
    pixels = np.random.default_rng([seed, height, width]).integers(
        0, 256, (height, width), np.uint8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize("shape", [(16, 16), (17, 16), (28, 40), (41, 100)])
@pytest.mark.parametrize("overlap", [0, 4, 15])
def test_tiles_cover_every_pixel_and_end_with_the_image(
    shape: tuple[int, int], overlap: int
) -> None:
    covered = np.zeros(shape, int)
    boxes = list(tile_boxes(*shape, 16, overlap))
    for left, top, right, bottom in boxes:
        assert (right - left, bottom - top) == (16, 16)
        assert left >= 0
        assert top >= 0
        covered[top:bottom, left:right] += 1
    assert covered.min() > 0
    assert boxes[-1][2:] == shape[::-1]
    assert len(set(boxes)) == len(boxes) == tile_count(*shape, 16, overlap)
    rows = sorted({box[1] for box in boxes})
    assert all(after - before <= 16 - overlap for before, after in pairwise(rows))


def test_each_tile_is_an_image_at_full_resolution(tmp_path: Path) -> None:
    photos = {
        "a.png": photograph(tmp_path / "a.png", 20, 40),
        "b.png": photograph(tmp_path / "b.png", 16, 16),
    }
    train = read(tmp_path).train
    places = [(0, 0), (12, 0), (24, 0), (0, 4), (12, 4), (24, 4)]
    assert train.ids == [*(f"a.png#x{x}y{y}" for x, y in places), "b.png#x0y0"]
    assert train.parents == ["a.png"] * 6 + ["b.png"]
    assert train.files == [str(tmp_path / name) for name in train.parents]
    for row, (x, y) in enumerate(places):
        assert (train.images[row, 0] == photos["a.png"][y : y + 16, x : x + 16]).all()
    assert (train.images[6, 0] == photos["b.png"]).all()


def test_labelled_layout_with_masks(tmp_path: Path) -> None:
    photograph(tmp_path / "train/good/a.png", 16, 28)
    photograph(tmp_path / "contaminants/hole/b.png", 16, 28)
    photograph(tmp_path / "test/good/c.png", 16, 28)
    photograph(tmp_path / "test/hole/d.png", 16, 28)
    mask = np.zeros((16, 28), np.uint8)
    mask[:, 20:] = 255
    (tmp_path / "ground_truth/hole").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "ground_truth/hole/d_mask.png")
    source = read(tmp_path, size=8)
    test = source.test
    assert test is not None
    assert source.contaminants is not None
    assert source.contaminants.parents == ["contaminants/hole/b.png"] * 2
    assert test.parents == ["test/good/c.png"] * 2 + ["test/hole/d.png"] * 2
    assert test.labels == [0, 0, 1, 1]
    assert test.kinds == ["good", "good", "hole", "hole"]
    first, second = test[2].mask, test[3].mask
    assert first is not None
    assert second is not None
    assert not first.any()
    assert second.tolist() == [[False] * 4 + [True] * 4] * 8
    assert test[0].mask is None
    assert source.notices == ()


def test_tiles_are_resized_only_to_another_size(tmp_path: Path) -> None:
    pixels = photograph(tmp_path / "a.png", 20, 40)
    assert (read(tmp_path, size=16).train.images == read(tmp_path).train.images).all()
    small = read(tmp_path, size=8)
    assert small.spec == ImageSpec(1, 8, 8)
    # All tiles start at even pixels, so they are parts of the photograph at half size.
    half = bilinear(pixels[None, None], 10, 20)[0, 0].astype(int)
    for row, (x, y) in enumerate([(0, 0), (6, 0), (12, 0), (0, 2), (6, 2), (12, 2)]):
        assert np.abs(small.train.images[row, 0] - half[y : y + 8, x : x + 8]).max() <= 1


def test_drafted_tiles_lie_where_full_ones_do(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:133, :201]
    smooth = (127 + 60 * np.sin(rows / 9) + 60 * np.cos(columns / 13)).astype(np.uint8)
    (tmp_path / "jpg").mkdir()
    (tmp_path / "png").mkdir()
    for turned in (1, 6):
        exif = Image.Exif()
        exif[274] = turned
        Image.fromarray(smooth).save(tmp_path / f"jpg/{turned}.jpg", quality=98, exif=exif)
        Image.fromarray(smooth).save(tmp_path / f"png/{turned}.png", exif=exif)
    tiles = {"size": 64, "overlap": 8}
    drafted = read(tmp_path / "jpg", tiles=tiles, size=8).train.images
    exact = read(tmp_path / "png", tiles=tiles, size=8).train.images
    assert np.abs(drafted.astype(int) - exact).max() <= 4


def test_subsets_count_photographs(tmp_path: Path) -> None:
    for number in range(5):
        photograph(tmp_path / f"{number}.png", 16, 28)
    train = read(tmp_path, max_train=2).train
    assert len(train) == 4
    assert len(set(train.parents or [])) == 2


def test_damaged_photographs_cost_no_others(tmp_path: Path) -> None:
    for number in range(3):
        photograph(tmp_path / f"{number}.png", 40, 40)
    whole = read(tmp_path).train
    data = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(data[: len(data) // 2])  # its header can still be read
    (tmp_path / "0a.png").write_bytes(b"junk")
    source = read(tmp_path)
    kept = [row for row, parent in enumerate(whole.parents or []) if parent != "1.png"]
    assert source.train.ids == [whole.ids[row] for row in kept]
    assert (source.train.images == whole.images[kept]).all()
    assert source.notices[-1].startswith("2 of 4 training images could not be used: 0a.png (")
    assert "1.png (" in source.notices[-1]


@pytest.mark.parametrize("part", ["train", "test/good"])
def test_a_photograph_smaller_than_a_tile_is_an_error(tmp_path: Path, part: str) -> None:
    photograph(tmp_path / "train/a.png", 20, 20)
    photograph(tmp_path / "test/good/b.png", 20, 20)
    photograph(tmp_path / part / "small.png", 12, 40)
    with pytest.raises(DataError, match=r"small\.png is 12×40 .*least 16 pixels .* tile; remove"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"small\.png is 12×40"):
        folder_reader(options(tmp_path), ImageSpec(1, 16, 16)).pieces(tmp_path / part / "small.png")


@pytest.mark.parametrize("size", [16, 8])
def test_pieces_of_a_new_file_are_the_tiles(tmp_path: Path, size: int) -> None:
    photograph(tmp_path / "a.png", 20, 40)
    photograph(tmp_path / "b.png", 16, 16)
    given = options(tmp_path, size=size)
    source = image_folder(given)
    reader = folder_reader(given, source.spec)
    pieces = reader.pieces(tmp_path / "a.png")
    assert (pieces.images.numpy() == source.train.images[:6]).all()
    assert pieces.size == (40, 20)
    assert list(pieces.boxes) == [
        (x, y, x + 16, y + 16) for x, y in [(0, 0), (12, 0), (24, 0), (0, 4), (12, 4), (24, 4)]
    ]
    assert (reader(tmp_path / "b.png") == source.train.images[6]).all()
    with pytest.raises(DataError, match=r"a\.png: makes 6 tiles, expected one image"):
        reader(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("tiles", "message"),
    [
        ({"size": 16, "overlap": 16}, "overlap by 16 pixels .* set overlap below it"),
        ({"size": 8}, "greater than or equal to 16"),
        ({"overlap": -1}, "greater than or equal to 0"),
        ({"step": 4}, "Extra inputs"),
    ],
)
def test_wrong_tiles(tmp_path: Path, tiles: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(tmp_path, tiles=tiles)
