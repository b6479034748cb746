"""Layouts and masks as people have them, by kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from anokit.errors import DataError
from anokit_datasets.folder import image_folder
from anokit_datasets.picture_options import ImageFolderOptions

RNG = np.random.default_rng(0)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (16, 16), np.uint8)).save(path)


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((16, 16), np.uint8)
    values[4:8, 4:8] = 255
    Image.fromarray(values).save(path)


def read(root: Path, **options: object):
    return image_folder(ImageFolderOptions.model_validate({"root": str(root), **options}))


@pytest.mark.parametrize("normal", ["good", "OK", "Normal", "defect-free"])
@pytest.mark.parametrize(
    ("train", "test", "truth", "image", "truths"),
    [
        ("train", "test", "ground_truth", "000.png", ["000_mask.png"]),
        ("Train", "TEST", "Ground_Truth", "000.PNG", ["000_MASK.png"]),
        ("train", "test", "ground_truth", "000.png", ["000.bmp"]),
        ("train", "test", "masks", "000.png", ["000_gt.png"]),
        ("train", "test", "ground_truth", "000.png", ["000/000.png", "000/001.png"]),
        ("train", "test_public", "test_public/ground_truth", "000_a.png", ["000_a_mask.png"]),
    ],
)
def test_layouts_and_their_masks(tmp_path, normal, train, test, truth, image, truths):
    for number in range(3):
        picture(tmp_path / train / normal / f"{number}.png")
    picture(tmp_path / test / normal / "000.png")
    picture(tmp_path / test / "ko" / image)
    for name in truths:
        mask(tmp_path / truth / "ko" / name)
    found = read(tmp_path)
    assert len(found.train) == 3
    assert sorted(zip(found.test.labels, found.test.kinds, strict=True)) == [(0, normal), (1, "ko")]
    row = list(found.test.labels).index(1)
    assert int(found.test[row].mask.sum()) == 16
    assert found.notices == ()


def test_two_bare_folders_are_training_and_test(tmp_path):
    for number in range(10):
        picture(tmp_path / "Data/Images/Normal" / f"{number}.png")
    picture(tmp_path / "Data/Images/Anomaly/000.png")
    mask(tmp_path / "Data/Masks/Anomaly/000.png")
    found = read(tmp_path)
    assert len(found.train) == 8
    assert sorted(found.test.labels) == [0, 0, 1]
    assert found.test[2].mask.sum() == 16
    assert "8 normal images are taken for training" in found.notices[0]


@pytest.mark.parametrize(
    "folder", ["train/bad", "train/Defects/a", "train/x/mask", "train/2024_NG-parts"]
)
def test_defects_are_not_trained_on_unless_that_is_accepted(tmp_path, folder):
    picture(tmp_path / "train/good/0.png")
    picture(tmp_path / folder / "1.png")
    with pytest.raises(DataError, match="accept_defects = true"):
        read(tmp_path)
    found = read(tmp_path, accept_defects=True)
    assert len(found.train) == 2
    assert str(tmp_path / folder.removesuffix("/a")) in found.notices[0]


def test_masks_that_fit_nothing_and_anomalies_without_are_counted_and_named(tmp_path):
    picture(tmp_path / "train/0.png")
    picture(tmp_path / "test/good/0.png")
    picture(tmp_path / "test/bad/0.png")
    mask(tmp_path / "ground_truth/bad/other.png")
    text = " ".join(read(tmp_path).notices)
    assert "1 masks in" in text
    assert "ground_truth/bad/other.png" in text
    assert "1 anomalous test images have no mask" in text


def test_what_is_passed_over_is_counted(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / ".ipynb_checkpoints/a-checkpoint.png")
    picture(tmp_path / ".b.png")
    (tmp_path / "notes.txt").touch()
    text = " ".join(read(tmp_path).notices)
    assert "1 that are no images (.txt) and 2 hidden" in text


@pytest.mark.parametrize("low", [280.0, -1.0, 2000.0])
def test_values_that_are_clipped_are_told_with_the_options_that_mend_it(tmp_path, low):
    values = np.linspace(low, low + 30, 256, dtype=np.float32).reshape(16, 16)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert f"black_level = {low:g} and white_level = " in " ".join(read(tmp_path).notices)
    found = read(tmp_path, black_level=low, white_level=low + 30)
    assert not any("black_level" in text for text in found.notices)
    assert found.train.images.min() == 0
    assert found.train.images.max() == 255


@pytest.fixture
def of_mvtec(tmp_path):
    """Write a folder as MVTec AD 2 and LOCO have it."""
    for place in ("train/good/0", "train/good/1", "validation/good/0", "test_public/good/0"):
        picture(tmp_path / f"{place}.png")
    picture(tmp_path / "test_public/bad/0.png")
    mask(tmp_path / "test_public/ground_truth/bad/0_mask.png")
    for folder in ("test_private", "test_private_mixed"):
        picture(tmp_path / folder / "0.png")
    return tmp_path


@pytest.mark.parametrize(
    ("validation", "train", "test"), [("leave", 2, 2), ("train", 3, 2), ("test", 2, 3)]
)
def test_validation_is_used_as_the_recipe_says(of_mvtec, validation, train, test):
    found = read(of_mvtec, validation=validation)
    assert len(found.train) == train
    assert sorted(found.test.labels) == [0] * (test - 1) + [1]
    assert found.test[list(found.test.labels).index(1)].mask.sum() == 16
    left = [text for text in found.notices if "validation is not used: 1 images" in text]
    assert len(left) == (validation == "leave")
    private = [text for text in found.notices if "has no labels" in text]
    assert [text.rpartition("/")[2] for text in private] == ["test_private", "test_private_mixed"]
    assert len(found.notices) == len(left) + len(private)


@pytest.mark.parametrize("validation", ["train", "test"])
def test_validation_of_what_is_not_normal_is_refused(of_mvtec, validation):
    picture(of_mvtec / "validation/bad/1.png")
    with pytest.raises(DataError, match=r"validation.*bad"):
        read(of_mvtec, validation=validation)


def test_validation_that_is_not_there_is_refused(tmp_path):
    picture(tmp_path / "train/0.png")
    with pytest.raises(DataError, match=r"validation = 'train': .* has no validation/"):
        read(tmp_path, validation="train")


def test_what_lies_beside_good_is_not_trained_on_silently(tmp_path):
    for place in ("good/0", "scratch/1", "dent/2", "no_defects/3"):
        picture(tmp_path / f"{place}.png")
    with pytest.raises(DataError, match=r"scratch \(1 images\).*accept_defects"):
        read(tmp_path)
    assert "scratch (1 images)" in read(tmp_path, accept_defects=True).notices[0]


@pytest.mark.parametrize("name", ["no_defects", "defect-free parts", "badge", "okay", "fine"])
def test_what_is_called_after_no_defect_is_trained_on(tmp_path, name):
    picture(tmp_path / name / "0.png")
    assert len(read(tmp_path).train) == 1
