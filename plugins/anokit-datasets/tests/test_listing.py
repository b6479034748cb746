from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anokit.errors import DataError, MissingDataError
from anokit_datasets.folder import image_folder
from anokit_datasets.listing import natural_key
from anokit_datasets.picture_options import ImageFolderOptions
from anokit_datasets.source import Source

WriteImage = Callable[..., Path]


def read(*files: str) -> Source:
    return image_folder(ImageFolderOptions(files=files, size=4))


@pytest.fixture
def here(tmp_path: Path, write_image: WriteImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a few pictures and a text, and make their folder the working directory."""
    for number in (1, 2, 10):
        write_image(tmp_path / f"photos/img{number}.png", 40 + number)
    write_image(tmp_path / "photos/deep/down/a.jpg", 90)
    (tmp_path / "photos/notes.txt").write_text("not an image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_and_patterns_are_unlabelled_training_images_in_natural_order(here: Path) -> None:
    source = read("photos/img2.png", "photos/**/*.jpg", "photos/img*.png", "./photos/img2.png")
    names = [f"photos/{name}" for name in ("deep/down/a.jpg", "img1.png", "img2.png", "img10.png")]
    assert source.train.ids == source.train.files == names
    assert source.train.images[:, 0, 0, 0].tolist() == [90, 41, 42, 50]
    assert source.train.labels is source.train.kinds is None
    assert source.test is source.contaminants is None
    assert source.protocol == "listed files without a test set"
    assert source.notices == ("files: all 4 listed images are one set without labels",)


def test_order_of_entries_makes_no_difference(here: Path) -> None:
    one = read("photos/img10.png", "photos/img1.png")
    assert one.train.ids == read("photos/img1.png", "photos/img10.png").train.ids


def test_absolute_paths_stay_what_they_are(here: Path) -> None:
    source = read(str(here / "photos/img*.png"), "photos/img1.png")
    assert source.train.files is not None
    assert source.train.files[0] == str(here / "photos/img1.png")
    assert len(source.train) == 3


def test_links_to_one_file_give_one_image(here: Path) -> None:
    (here / "link.png").symlink_to(here / "photos/img1.png")
    assert read("photos/img1.png", "link.png").train.ids == ["link.png"]


def test_a_file_whose_name_looks_like_a_pattern(here: Path, write_image: WriteImage) -> None:
    write_image(here / "img[1].png", 7)
    assert read("img[1].png").train.images.min() == 7


def test_a_pattern_leaves_other_files_out_and_says_so(here: Path) -> None:
    source = read("photos/*")
    assert len(source.train) == 3
    assert source.notices[0] == (
        "files: of what 'photos/*' matches, passed over: 1 that are no images (.txt)"
    )


@pytest.mark.parametrize(
    ("entry", "kind", "message"),
    [
        ("photos/gone.png", MissingDataError, r"photos/gone\.png does not exist \(looked for from"),
        ("photos/*.bmp", MissingDataError, r"pattern 'photos/\*\.bmp' matches no file"),
        ("photos/*.txt", DataError, r"matches no image, only 1 that are no images \(\.txt\)"),
        ("photos/notes.txt", DataError, r"notes\.txt is no image: .* got '\.txt'; remove it"),
        ("photos", DataError, r"photos is a folder, expected files; set root = 'photos'"),
    ],
)
def test_wrong_entries(here: Path, entry: str, kind: type[DataError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        read("photos/img1.png", entry)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_listed_files_that_cannot_be_read(here: Path) -> None:
    (here / "bad.png").write_bytes(b"junk")
    assert "training images could not be used: bad.png (" in read("bad.png", "photos/*").notices[-1]
    with pytest.raises(DataError, match=r"^files: 1 of 1 training images .*bad\.png"):
        read("bad.png")


def test_natural_order() -> None:
    names = ["a10", "a9b2", "a9b10", "b1", "7", "a²"]
    assert sorted(names, key=natural_key) == ["a9b2", "a9b10", "a10", "a²", "b1", "7"]
