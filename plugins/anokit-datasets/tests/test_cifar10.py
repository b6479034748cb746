from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets.cifar as reader

from anokit.errors import DataError, MissingDataError
from anokit_datasets.cifar10 import FILES, cifar10
from anokit_datasets.options import CIFAR10_CLASSES, Cifar10Options

PER_BATCH = 40


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write CIFAR-10 of 240 images; a picture's first byte is its number within its batch."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate(FILES[:-1]):
        generator = np.random.default_rng(number)
        data = generator.integers(0, 256, (PER_BATCH, 3072), np.uint8)
        data[:, 0] = np.arange(PER_BATCH)
        labels = [place % 10 for place in range(PER_BATCH)]
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": labels}))
    meta = {"label_names": list(CIFAR10_CLASSES)}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    monkeypatch.setattr(reader, "check_integrity", lambda *_: True)
    return tmp_path


def test_one_class(root: Path) -> None:
    source = cifar10(Cifar10Options(root=str(root), normal=("cat",), test_size=6))
    assert source.contaminants is not None
    assert source.test is not None
    assert len(source.train) == 20
    assert len(source.contaminants) == 180
    assert source.test.labels == [0] * 4 + [1] * 6
    assert {name.split("/")[0] for name in source.train.ids + source.contaminants.ids} == {"train"}
    assert {name.split("/")[0] for name in source.test.ids} == {"test"}
    assert set(source.train.kinds or []) == {"cat"}
    assert "cat" not in (source.contaminants.kinds or [])
    assert source.train.labels is source.contaminants.labels is None


def test_one_class_abnormal(root: Path) -> None:
    options = Cifar10Options(root=str(root), protocol="one-class-abnormal", abnormal=("cat",))
    source = cifar10(options)
    assert source.test is not None
    assert source.contaminants is None
    assert len(source.train) == 180
    assert source.test.labels == [0] * 36 + [1] * 24
    anomalous = source.test.ids[36:]
    assert sum(name.startswith("train/cat") for name in anomalous) == 20
    assert not set(source.train.ids) & set(source.test.ids)


def test_images_are_the_files_own(root: Path) -> None:
    source = cifar10(Cifar10Options(root=str(root)))
    for place in range(len(source.train)):
        number = int(source.train.ids[place].rsplit("/", 1)[1])
        assert source.train.images[place, 0, 0, 0] == number % PER_BATCH
    assert source.train[0].image.shape == (3, 32, 32)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_sizes(root: Path, size: int) -> None:
    original = cifar10(Cifar10Options(root=str(root)))
    source = cifar10(Cifar10Options(root=str(root), size=size))
    assert source.train.images.shape[1:] == (3, size, size)
    assert source.train.images.mean() == pytest.approx(original.train.images.mean(), rel=0.02)
    if size == 16:
        block = original.train.images[0, :, :2, :2].mean(axis=(1, 2))
        assert np.abs(source.train.images[0, :, 0, 0] - block).max() <= 0.5


def test_subsets_are_nested_and_keep_proportions(root: Path) -> None:
    def read(count: int) -> tuple[set[str], list[int]]:
        source = cifar10(
            Cifar10Options(root=str(root), max_train=count, max_test=count, test_size=4)
        )
        assert source.test is not None
        return set(source.train.ids), source.test.labels or []

    small, small_labels = read(4)
    large, _ = read(10)
    assert len(small) == 4
    assert small < large
    assert sorted(small_labels) == [0, 0, 1, 1]


def test_draw_depends_on_its_seed(root: Path) -> None:
    first, again, other = (
        cifar10(Cifar10Options(root=str(root), test_size=3, draw_seed=seed)).test
        for seed in (0, 0, 1)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.ids == again.ids
    assert first.ids != other.ids


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="cifar-10-batches-py") as caught:
        cifar10(Cifar10Options(root=str(tmp_path / "none")))
    assert "no such folder" in str(caught.value)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in FILES[:-2]:
        (folder / name).touch()
    with pytest.raises(MissingDataError, match=r"missing: test_batch, batches\.meta"):
        cifar10(Cifar10Options(root=str(tmp_path)))


def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(b"not the official file")
    with pytest.raises(DataError, match="damaged"):
        cifar10(Cifar10Options(root=str(tmp_path)))
