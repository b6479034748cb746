from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anokit.errors import DataError
from anokit_datasets.kth import kth_cellvideos
from anokit_datasets.kth.crops import Cropper, grey_limits, scale_grey
from anokit_datasets.kth.format import find_sequences
from anokit_datasets.options import KthOptions
from anokit_datasets.source import Source

WriteSequence = Callable[..., Path]

CELLS = {1: (6, 6), 2: (6, 20), 3: (6, 34), 4: (20, 6), 5: (20, 20), 6: (20, 34)}
PARENTS = {2: 1, 3: 1, 5: 4}
FAMILY = {1: "A", 2: "A", 3: "A", 4: "B", 5: "B", 6: "C"}
DEBRIS = {1: (33, 6), 2: (33, 20), 3: (33, 34)}


@pytest.fixture
def root(tmp_path: Path, write_sequence: WriteSequence) -> Path:
    """Write two experiments of one sequence each: three families of cells, three bits of debris."""
    for experiment in ("x", "y"):
        write_sequence(tmp_path / "kth" / experiment, "s", CELLS, DEBRIS, parents=PARENTS)
    return tmp_path / "kth"


def read(root: Path, **options: object) -> Source:
    settings = {"root": str(root), "field": 16, "size": 16, "test_size": 4, "copies": 2, **options}
    return kth_cellvideos(KthOptions.model_validate(settings))


def objects(ids: list[str]) -> set[str]:
    """Return what the ids show, one name for a family of cells or a piece of debris."""
    found = set()
    for name in ids:
        match = re.fullmatch(r"(\w/s)/t\d{4}/(cell|debris)-(\d+)(?:/copy-\d)?", name)
        assert match
        sequence, what, track = match.groups()
        found.add(f"{sequence} {what} {FAMILY[int(track)] if what == 'cell' else track}")
    return found


@pytest.mark.parametrize("seed", range(8))
def test_no_family_is_on_both_sides(root: Path, seed: int) -> None:
    source = read(root, draw_seed=seed)
    assert source.test is not None
    assert source.contaminants is not None
    test = objects(source.test.ids)
    assert not test & objects(source.train.ids)
    assert not test & objects(source.contaminants.ids)
    assert all(" cell " in thing for thing in objects(source.train.ids))
    assert all(" debris " in thing for thing in objects(source.contaminants.ids))
    assert source.test.labels == [int("debris" in name) for name in source.test.ids]
    assert sum(source.test.labels) == 4


def test_copies_of_training_objects_and_contaminants_only(root: Path) -> None:
    source = read(root)
    assert source.test is not None
    assert source.contaminants is not None
    for split in (source.train, source.contaminants):
        copies = [name for name in split.ids if "copy" in name]
        assert len(split) == 3 * (len(split) - len(copies))
    assert not any("copy" in name for name in source.test.ids)
    assert source.train.labels is source.contaminants.labels is None


def test_detection_split_uses_everything_and_says_so(root: Path) -> None:
    source = read(root, split="detection", copies=0)
    assert source.test is not None
    assert source.contaminants is not None
    ids = source.train.ids + source.contaminants.ids + source.test.ids
    assert len(ids) == len(set(ids)) == 2 * 3 * 9
    assert objects(source.test.ids) & objects(source.train.ids)
    assert "both sides" in " ".join(source.notices)
    assert source.protocol.endswith("detection")
    assert "both sides" not in " ".join(read(root).notices)


def test_crops_show_their_objects(root: Path) -> None:
    source = read(root, copies=0)
    assert source.test is not None
    for split in (source.train, source.test):
        for index, name in enumerate(split.ids):
            track = int(name.rsplit("-", 1)[1])
            grey = 50 + 10 * track + (100 if "debris" in name else 0)
            assert split.images[index, 0, 8, 8] == grey


def test_crops_are_mapped_cached_and_never_below_the_root(root: Path) -> None:
    before = sorted(root.rglob("*"))
    first = read(root)
    assert isinstance(first.train.images, np.memmap)
    assert sorted(root.rglob("*")) == before
    (folder,) = (root.parent / "kth-crops").iterdir()
    written = (folder / "train.npy").stat().st_mtime_ns
    again = read(root)
    assert (folder / "train.npy").stat().st_mtime_ns == written
    assert again.train.ids == first.train.ids
    assert (np.asarray(again.train.images) == np.asarray(first.train.images)).all()


def test_cache_follows_options_and_files(root: Path) -> None:
    place = root.parent / "elsewhere"
    read(root, cache=str(place))
    read(root, cache=str(place), simulated_frames=99)
    assert len(list(place.iterdir())) == 1
    read(root, cache=str(place), draw_seed=1)
    assert len(list(place.iterdir())) == 2
    text = root / "x/Analysis/s_GT/TRA/deaths.txt"
    text.write_text("1 1\n")
    read(root, cache=str(place), draw_seed=1)
    assert len(list(place.iterdir())) == 3
    assert not (root.parent / "kth-crops").exists()


def test_cache_that_cannot_be_written(root: Path) -> None:
    (root.parent / "file").write_text("")
    with pytest.raises(DataError, match="set `cache`"):
        read(root, cache=str(root.parent / "file"))


def test_a_failure_leaves_no_half_written_cache(root: Path) -> None:
    frame = root / "y/s/img_3.tif"
    frame.write_bytes(b"junk")
    with pytest.raises(DataError, match=r"img_3\.tif cannot be read"):
        read(root)
    assert list((root.parent / "kth-crops").iterdir()) == []


def test_subset_of_training_crops_is_nested(root: Path) -> None:
    small, large = read(root, max_train=5), read(root, max_train=9)
    assert len(small.train) == 5
    assert set(small.train.ids) < set(large.train.ids)


def test_no_debris(tmp_path: Path, write_sequence: WriteSequence) -> None:
    write_sequence(tmp_path / "kth", "s", CELLS, parents=PARENTS)
    source = read(tmp_path / "kth")
    assert source.test is not None
    assert source.contaminants is None
    assert set(source.test.labels or []) == {0}
    assert "no debris" in " ".join(source.notices)


def test_one_family_cannot_be_split(tmp_path: Path, write_sequence: WriteSequence) -> None:
    write_sequence(tmp_path / "kth", "s", {1: (10, 10), 2: (20, 20)}, parents={2: 1})
    with pytest.raises(DataError, match="of one family"):
        read(tmp_path / "kth")
    assert len(read(tmp_path / "kth", split="detection").train) > 0


def test_labels_beyond_the_frames_are_told(root: Path) -> None:
    (root / "x/s/img_3.tif").unlink()
    assert "x/s: 1 label images have no frame" in " ".join(read(root).notices)


def test_crops_are_resized(root: Path) -> None:
    large, small = read(root, copies=0), read(root, copies=0, size=8)
    assert small.spec.height == small.train.images.shape[-1] == 8
    assert small.train.ids == large.train.ids
    means = [np.asarray(source.train.images).mean(axis=(1, 2, 3)) for source in (large, small)]
    assert np.abs(means[0] - means[1]).max() < 3


def noise(shape: tuple[int, int] = (50, 60)) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


@pytest.mark.parametrize("size", [8, 9])
def test_upright_crop(size: int) -> None:
    frame = noise()
    crop = Cropper(frame, size).upright(20, 30)
    start = (20 - size // 2, 30 - size // 2)
    window = frame[start[0] : start[0] + size, start[1] : start[1] + size]
    assert (crop == np.rint(window)).all()


def test_border_is_repeated() -> None:
    frame = noise()
    crop = Cropper(frame, 16).upright(0, 59)
    assert (crop[:8] == crop[8]).all()
    assert (crop[:, 9:] == crop[:, 8:9]).all()


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("quarters", range(5))
def test_quarter_turns_are_exact(size: int, quarters: int) -> None:
    cropper = Cropper(noise(), size)
    crop = cropper.turned(25, 30, 90 * quarters)
    expected = np.rot90(cropper.upright(25, 30), quarters)
    assert np.abs(crop.astype(int) - expected).max() <= 1


def test_turned_corners_are_pixels_of_the_frame() -> None:
    rows, columns = np.meshgrid(np.arange(60.0), np.arange(60.0), indexing="ij")
    frame = (2 * rows + columns).astype(np.float32)
    crop = Cropper(frame, 16).turned(30, 30, 45)
    # A plane turned by 45 degrees is a plane still, up to the very corners.
    bent = np.diff(crop.astype(float), 2, axis=0)
    assert np.abs(bent).max() <= 2
    assert crop[8, 8] == pytest.approx(frame[30, 30], abs=3)


def test_16_bit_frames_share_one_scale(tmp_path: Path, write_sequence: WriteSequence) -> None:
    write_sequence(tmp_path / "kth", "s", CELLS, DEBRIS, parents=PARENTS, dtype=np.uint16)
    low, high = grey_limits(find_sequences(tmp_path / "kth").sequences[0].frames)
    assert (low, high) == (20.0, 180.0)
    source = read(tmp_path / "kth", copies=0)
    for index, name in enumerate(source.train.ids):
        grey = 50 + 10 * int(name.rsplit("-", 1)[1])
        assert source.train.images[index, 0, 8, 8] == round((grey - low) * 255 / (high - low))


def test_8_bit_frames_are_taken_as_they_are(root: Path) -> None:
    limits = grey_limits(find_sequences(root).sequences[0].frames)
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (scale_grey(frame, limits) == frame).all()


def test_turned_crops_keep_most_of_the_noise_but_not_all():
    source = np.random.default_rng(0)
    frame = (128 + 20 * source.standard_normal((400, 400))).astype(np.float32)
    cropper = Cropper(frame, 32)
    turned = [
        cropper.turned(*source.integers(40, 360, 2), angle).std()
        for angle in source.uniform(0, 360, 200)
    ]
    assert np.mean(turned) / frame.std() == pytest.approx(0.88, abs=0.02)
