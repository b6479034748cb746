from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anokit.errors import DataError, MissingDataError
from anokit_datasets import storage
from anokit_datasets.folder import image_folder
from anokit_datasets.picture_options import ImageFolderOptions
from anokit_datasets.source import Source

WriteImage = Callable[..., Path]


def read(root: Path, **options: object) -> Source:
    return image_folder(ImageFolderOptions.model_validate({"root": str(root), **options}))


@pytest.fixture
def full(tmp_path: Path, write_image: WriteImage) -> Path:
    """Write a folder with every part of the layout; grey values tell the images apart."""
    for number in range(6):
        write_image(tmp_path / "train" / f"deep/{number}/image.png", 40 + number)
    write_image(tmp_path / "contaminants/hole/a.png", 100)
    write_image(tmp_path / "test/normal/b.png", 110)
    write_image(tmp_path / "test/normal/c.png", 111)
    write_image(tmp_path / "test/hole/d.png", 120)
    write_image(tmp_path / "test/scratch/sub/e.png", 130)
    return tmp_path


def test_full_layout(full: Path) -> None:
    source = read(full)
    assert source.contaminants is not None
    assert source.test is not None
    assert source.train.ids == [f"train/deep/{n}/image.png" for n in range(6)]
    assert source.train.images[:, 0, 0, 0].tolist() == [40, 41, 42, 43, 44, 45]
    assert source.train.labels is None
    assert source.contaminants.ids == ["contaminants/hole/a.png"]
    assert source.test.kinds == ["hole", "normal", "normal", "scratch"]
    assert source.test.labels == [1, 0, 0, 1]
    assert source.test[3].image.max() == 130
    assert (source.spec.channels, source.spec.height, source.spec.width) == (1, 8, 8)
    assert source.notices == ()


def test_files_are_paths_that_can_be_opened(full: Path) -> None:
    source = read(full)
    for split in (source.train, source.contaminants, source.test):
        assert split is not None
        assert split.files == [str(full / name) for name in split.ids]
        for image, file in zip(split.images, split.files, strict=True):
            assert (np.asarray(Image.open(file)) == image[0]).all()


def test_nothing_is_written_into_the_root(full: Path) -> None:
    def listing() -> list[tuple[str, int]]:
        return sorted((str(p), p.stat().st_mtime_ns) for p in full.rglob("*"))

    before = listing()
    read(full, size=4)
    assert listing() == before


def test_bare_folder_is_a_training_set(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "b/2.png")
    write_image(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("not an image")
    write_image(tmp_path / ".hidden/3.png")
    source = read(tmp_path)
    assert source.train.ids == ["a.png", "b/2.png"]
    assert source.test is source.contaminants is None
    assert "all 2 images" in source.notices[0]


def test_mvtec_layout_with_masks(tmp_path: Path, write_image: WriteImage) -> None:
    for name in ("000", "001"):
        write_image(tmp_path / f"train/good/{name}.png")
    write_image(tmp_path / "test/good/000.png")
    write_image(tmp_path / "test/hole/000.png")
    write_image(tmp_path / "test/hole/001.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    (tmp_path / "ground_truth/hole").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "ground_truth/hole/000_mask.png")
    source = read(tmp_path, size=4)
    assert source.test is not None
    assert source.test.ids == ["test/good/000.png", "test/hole/000.png", "test/hole/001.png"]
    assert source.test.labels == [0, 1, 1]
    outlined = source.test[1].mask
    assert outlined is not None
    assert outlined.tolist() == [[False, False, True, True]] * 4
    assert source.test[0].mask is source.test[2].mask is None
    (notice,) = source.notices
    assert notice.startswith("1 anomalous test images have no mask")


def test_mask_of_another_shape_is_resized_and_told(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "train/good/0.png")
    write_image(tmp_path / "test/hole/0.png")
    write_image(tmp_path / "ground_truth/hole/0_mask.png", 255, (9, 9))
    source = read(tmp_path)
    assert source.test is not None
    mask = source.test[0].mask
    assert mask is not None
    assert mask.shape == (8, 8)
    assert "nearest neighbour: ground_truth/hole/0_mask.png" in " ".join(source.notices)


@pytest.mark.parametrize("make", [lambda root: None, lambda root: root.mkdir()])
def test_missing_or_empty_root_shows_the_tree(tmp_path: Path, make: Callable[[Path], None]) -> None:
    root = tmp_path / "root"
    make(root)
    with pytest.raises(MissingDataError, match="test/normal") as caught:
        read(root)
    assert str(root) in str(caught.value)


def test_a_relative_root_is_said_with_the_folder_that_it_is_seen_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDataError, match=f"root does not exist, seen from {tmp_path};"):
        read(Path("root"))


def test_empty_train_is_missing_data(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(MissingDataError, match="train holds no image"):
        read(tmp_path)


def test_test_without_train(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "test/normal/0.png")
    with pytest.raises(DataError, match="no train/"):
        read(tmp_path)


def test_loose_test_image(full: Path, write_image: WriteImage) -> None:
    write_image(full / "test/loose.png")
    with pytest.raises(DataError, match=r"loose\.png lies in test/ itself"):
        read(full)


def test_odd_folders_are_told(full: Path, write_image: WriteImage) -> None:
    write_image(full / "val/0.png")
    write_image(full / "train/other/0.png")
    notices = " ".join(read(full).notices)
    assert "val is not used: 1 images" in notices
    assert "train/deep, train/other is taken as normal" in notices


def test_test_set_without_normal_images(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "train/0.png")
    write_image(tmp_path / "test/hole/0.png")
    assert "every test image is anomalous" in " ".join(read(tmp_path).notices)


def test_damaged_files_are_left_out_and_told(full: Path) -> None:
    for number in range(5):
        (full / f"train/bad-{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nrest is missing")
    (full / "test/hole/cut.tif").write_bytes(b"II*\x00")
    (full / "train/deep/3/image.png").write_bytes(b"")
    source = read(full)
    assert source.test is not None
    assert len(source.train) == 5
    assert source.train.images[:, 0, 0, 0].tolist() == [40, 41, 42, 44, 45]
    assert len(source.test) == 4
    first, second = source.notices
    assert first.startswith("6 of 11 training images could not be used: train/bad-0.png (")
    assert first.endswith(" and 3 more")
    assert str(full) not in first
    assert "test/hole/cut.tif" in second


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"1 of 1 training images could not be used: a\.png"):
        read(tmp_path)


def test_truncated_image_warns_nobody(
    tmp_path: Path, write_image: WriteImage, recwarn: pytest.WarningsRecorder
) -> None:
    write_image(tmp_path / "good.jpg", (1, 2, 3), (64, 64))
    data = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    assert len(read(tmp_path).train) == 1
    assert len(recwarn) == 0


def test_mixed_channels(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "a.png", 50)
    write_image(tmp_path / "b.png", (10, 20, 30))
    with pytest.raises(DataError, match="different channels") as caught:
        read(tmp_path)
    for word in ("a.png has 1", "b.png has 3", "channels = 1", "channels = 3"):
        assert word in str(caught.value)
    assert read(tmp_path, channels=1).spec.channels == 1
    colour = read(tmp_path, channels=3)
    assert colour.train.images[:, :, 0, 0].tolist() == [[50, 50, 50], [10, 20, 30]]


@pytest.mark.parametrize("value", [7, (7, 255), (7, 8, 9), (7, 8, 9, 200)])
def test_channels_as_in_the_files(
    tmp_path: Path, write_image: WriteImage, value: int | tuple[int, ...]
) -> None:
    write_image(tmp_path / "a.png", value)
    source = read(tmp_path)
    expected = [value] if isinstance(value, int) else list(value)
    assert source.train.images[0, :, 0, 0].tolist() == expected


def test_mixed_sizes(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "a.png", size=(8, 6))
    write_image(tmp_path / "b.png", size=(9, 6))
    with pytest.raises(DataError, match=r"a\.png is 6×8, .*b\.png is 6×9.*set size"):
        read(tmp_path)
    assert read(tmp_path, size=5).train.images.shape == (2, 1, 5, 5)


def test_one_common_size_need_not_be_square(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "a.png", size=(8, 6))
    assert read(tmp_path).spec.height == 6


def test_subsets(full: Path) -> None:
    small = read(full, max_train=2, max_test=2)
    large = read(full, max_train=4, max_test=3)
    other = {tuple(read(full, max_train=2, draw_seed=seed).train.ids) for seed in range(6)}
    assert small.test is not None
    assert set(small.train.ids) < set(large.train.ids)
    assert small.train.ids == sorted(small.train.ids)
    assert sorted(small.test.labels or []) == [0, 1]
    assert len(other) > 1


def test_large_sets_are_decoded_into_a_file(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = read(full)
    monkeypatch.setattr(storage, "MAX_IN_MEMORY", 100)
    cache = tmp_path / "cache"
    cache.mkdir()
    mapped = read(full, cache=str(cache))
    assert isinstance(mapped.train.images, np.memmap)
    assert (np.asarray(mapped.train.images) == in_memory.train.images).all()
    assert list(cache.iterdir()) == []
    with pytest.raises(DataError, match="set `cache`"):
        read(full, cache=str(tmp_path / "none"))


def test_dark_images_raise_a_question(tmp_path: Path) -> None:
    values = np.full((4, 4), 4095, np.uint16)
    values[0] = 3000
    Image.fromarray(values).save(tmp_path / "a.png")
    (notice,) = (text for text in read(tmp_path).notices if "white_level" in text)
    assert "brighter than 16 of 255" in notice
    bright = read(tmp_path, white_level=4095)
    assert not any("white_level" in text for text in bright.notices)
    assert bright.train.images.max() == 255


def test_links_are_followed_once(tmp_path: Path, write_image: WriteImage) -> None:
    write_image(tmp_path / "elsewhere/a.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    assert read(root).train.ids == ["linked/a.png"]
