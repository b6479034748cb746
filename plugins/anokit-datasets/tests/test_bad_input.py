"""What people have in their folders: one clear error or notice each, and the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.errors import DataError, MissingDataError
from anokit_datasets.folder import image_folder
from anokit_datasets.picture_options import ImageFolderOptions
from anokit_datasets.source import Source


def read(root: Path, **options: object) -> Source:
    return image_folder(ImageFolderOptions.model_validate({"root": str(root), **options}))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Write the same picture, a dark and a bright half, in every mode and several sizes."""

    def picture(height: int, width: int) -> np.ndarray:
        pixels = np.full((height, width), 40, np.uint8)
        pixels[:, width // 2 :] = 200
        return pixels

    grey = Image.fromarray(picture(20, 30))
    grey.save(tmp_path / "L.png")
    grey.convert("LA").save(tmp_path / "LA.png")
    grey.resize((12, 8), Image.Resampling.NEAREST).convert("RGB").save(tmp_path / "RGB.bmp")
    grey.convert("RGBA").save(tmp_path / "RGBA.webp", lossless=True)
    grey.convert("P").save(tmp_path / "P.gif")
    grey.convert("P").save(tmp_path / "Pt.png", transparency=0)
    grey.convert("RGB").convert("CMYK").save(tmp_path / "CMYK.jpg", quality=100)
    grey.resize((400, 200), Image.Resampling.NEAREST).save(tmp_path / "large.jpg", quality=100)
    Image.fromarray(picture(9, 40).astype(np.uint16) * 257).save(tmp_path / "16.png")
    tifffile.imwrite(tmp_path / "16.tif", picture(33, 34).astype(np.uint16) * 257)
    tifffile.imwrite(tmp_path / "float.tif", picture(16, 16).astype(np.float32) / 255)
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_and_modes_load_together(mixed: Path, channels: int) -> None:
    source = read(mixed, size=8, channels=channels)
    images = source.train.images
    assert images.shape == (len(list(mixed.iterdir())), channels, 8, 8)
    for name, image in zip(source.train.ids, images, strict=True):
        assert np.abs(image[:, :, :3].astype(int) - 40).max() <= 3, name
        assert np.abs(image[:, :, 5:].astype(int) - 200).max() <= 3, name
    for _ in range(3):
        assert (read(mixed, size=8, channels=channels).train.images == images).all()


def test_sizes_and_modes_that_are_not_brought_together(mixed: Path) -> None:
    with pytest.raises(DataError, match=r"images with different channels: .*; set channels = 1"):
        read(mixed, size=8)
    with pytest.raises(DataError, match=r"images of different sizes: .*; set size = 64"):
        read(mixed, channels=3)


def test_the_first_bad_file_is_the_one_that_is_named(tmp_path: Path) -> None:
    for number in range(40):
        shape = (8, 9) if number in (17, 30) else (8, 8)
        Image.fromarray(np.full(shape, 99, np.uint8)).save(tmp_path / f"{number:02d}.png")
    for _ in range(5):
        with pytest.raises(DataError, match=r"00\.png is 8×8, .*17\.png is 8×9"):
            read(tmp_path)


def test_an_empty_folder_tells_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="holds no image; expected one of") as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_of_other_files_holds_no_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "movie.mp4").write_bytes(b"not an image")
    with pytest.raises(MissingDataError, match="holds no image"):
        read(tmp_path)


@pytest.mark.parametrize("more", [{}, {"size": 8}, {"tiles": {"size": 16, "overlap": 4}}])
def test_one_image_is_a_training_set(tmp_path: Path, more: dict[str, object]) -> None:
    Image.fromarray(np.full((16, 16), 99, np.uint8)).save(tmp_path / "only.png")
    source = read(tmp_path, **more)
    assert len(source.train) == 1
    assert (source.train.images == 99).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "webp"])
@pytest.mark.parametrize("part", [0.1, 0.6])
def test_truncated_files_are_named(tmp_path: Path, suffix: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in ("good", "cut"):
        Image.fromarray(noise).save(tmp_path / f"{name}.{suffix}")
    cut = tmp_path / f"cut.{suffix}"
    data = cut.read_bytes()
    cut.write_bytes(data[: int(len(data) * part)])
    # Large enough to be drafted, and drafted again from a file that ends too early.
    source = read(tmp_path, size=8, channels=3)
    assert source.train.ids == [f"good.{suffix}"]
    (notice,) = (text for text in source.notices if "could not be used" in text)
    assert notice.startswith(f"1 of 2 training images could not be used: cut.{suffix} (")
    assert not notice.endswith("()")


def test_a_folder_that_looks_like_an_image(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(tmp_path / "folder.png/a.png")
    assert read(tmp_path).train.ids == ["folder.png/a.png"]


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "gone.png (" in read(tmp_path).notices[-1]
