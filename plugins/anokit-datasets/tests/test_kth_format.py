from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from anokit.errors import DataError, MissingDataError
from anokit_datasets.kth.crops import read_frame
from anokit_datasets.kth.format import LABEL_FILE, Labels, Track, find_sequences, frame_files
from anokit_datasets.kth.objects import centroids, lineages, objects_of, read_label_image

WriteSequence = Callable[..., Path]
SPOT = {1: (10, 10)}


def test_one_experiment_or_several(tmp_path: Path, write_sequence: WriteSequence) -> None:
    for experiment in ("one", "two"):
        for sequence in ("a", "b"):
            write_sequence(tmp_path / experiment, sequence, SPOT)
    assert [s.name for s in find_sequences(tmp_path / "one").sequences] == ["a", "b"]
    names = [s.name for s in find_sequences(tmp_path).sequences]
    assert names == ["one/a", "one/b", "two/a", "two/b"]


def test_text_files_are_read(tmp_path: Path, write_sequence: WriteSequence) -> None:
    place = write_sequence(tmp_path, "a", {1: (10, 10), 2: (10, 20), 3: (20, 20)}, {1: (30, 30)})
    (place / "man_track.txt").write_text("1 0 2 0\n\n2  1 2\t1\n3 1 2 1 \n")
    (place / "deaths.txt").write_text("1 0\n2 1\n")
    (place / "dummy_tracks.txt").write_text("3\n")
    sequence = find_sequences(tmp_path).sequences[0]
    assert sequence.cells.tracks == {1: Track(0, 2, 0), 2: Track(1, 2, 1), 3: Track(1, 2, 1)}
    assert sequence.cells.died == {2}
    assert sequence.cells.dummies == {3}
    assert sequence.debris is not None
    assert sorted(sequence.cells.images) == sorted(sequence.debris.images) == [0, 1, 2]


def test_frames_are_in_natural_order_unless_named(tmp_path: Path) -> None:
    for name in ("img10", "img2", "img1"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((2, 2), np.uint8))
    assert [frame_files(tmp_path)[n].stem for n in range(3)] == ["img1", "img2", "img10"]
    for path in tmp_path.iterdir():
        path.rename(path.with_name(f"t{int(path.stem[3:]):04d}.tif"))
    assert sorted(frame_files(tmp_path)) == [1, 2, 10]


def test_exported_labels_by_version(tmp_path: Path, write_sequence: WriteSequence) -> None:
    for version in ("_first", "_second"):
        place = tmp_path / "Analysis" / f"CellData{version}" / "RES" / "a_RES"
        write_sequence(tmp_path, "a", SPOT, labels=place)
    with pytest.raises(DataError, match="_first, _second"):
        find_sequences(tmp_path, "exported")
    found = find_sequences(tmp_path, "exported", "_second").sequences[0]
    assert found.cells.images[0].parent == place
    with pytest.raises(DataError, match=r"no sequence .* ground-truth"):
        find_sequences(tmp_path)


def test_challenge_layout(tmp_path: Path, write_sequence: WriteSequence) -> None:
    write_sequence(tmp_path, "01", SPOT)
    (tmp_path / "Analysis" / "01_GT").rename(tmp_path / "01_GT")
    (tmp_path / "Analysis").rmdir()
    assert [s.name for s in find_sequences(tmp_path).sequences] == ["01"]


def test_sequence_without_labels_is_told(tmp_path: Path, write_sequence: WriteSequence) -> None:
    write_sequence(tmp_path, "a", SPOT)
    (tmp_path / "b").mkdir()
    tifffile.imwrite(tmp_path / "b" / "t000.tif", np.zeros((2, 2), np.uint8))
    found = find_sequences(tmp_path)
    assert [s.name for s in found.sequences] == ["a"]
    assert "b has no ground-truth labels" in found.notices[0]


@pytest.mark.parametrize("exists", [False, True])
def test_missing_root_shows_the_tree(tmp_path: Path, exists: bool) -> None:
    root = tmp_path / "kth"
    if exists:
        root.mkdir()
    with pytest.raises(MissingDataError, match=r"man_trackNNN\.tif"):
        find_sequences(root)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("man_track.txt", "1 0 2\n", r"man_track\.txt:1: expected whole numbers"),
        ("man_track.txt", "1 0 2 0\n2 0 x 0\n", r"man_track\.txt:2: "),
        ("man_track.txt", "1 0 2 7\n", "parent 7, which is not listed"),
        ("deaths.txt", "1\n", r"deaths\.txt:1: "),
    ],
)
def test_malformed_text_names_file_and_line(
    tmp_path: Path, write_sequence: WriteSequence, name: str, text: str, message: str
) -> None:
    (write_sequence(tmp_path, "a", SPOT) / name).write_text(text)
    with pytest.raises(DataError, match=message):
        find_sequences(tmp_path)


def test_label_folder_without_images_or_text(tmp_path: Path, write_sequence: WriteSequence) -> None:
    place = write_sequence(tmp_path, "a", SPOT)
    (place / "man_track.txt").unlink()
    with pytest.raises(DataError, match=r"neither res_track\.txt nor man_track\.txt"):
        find_sequences(tmp_path)
    for path in place.glob("*.tif"):
        path.unlink()
    with pytest.raises(DataError, match="no label image"):
        find_sequences(tmp_path)


def test_centroids() -> None:
    image = np.zeros((9, 9), np.uint16)
    image[1:4, 2:5] = 300
    image[8, 0] = 2
    tracks, rows, columns = centroids(image)
    assert (tracks.tolist(), rows.tolist(), columns.tolist()) == ([2, 300], [8, 2], [0, 3])
    assert len(centroids(np.zeros((3, 3), np.uint16))[0]) == 0


def test_families() -> None:
    tracks = {
        1: Track(0, 3, 0),
        2: Track(4, 9, 1),
        3: Track(4, 9, 1),
        4: Track(10, 12, 3),
        5: Track(0, 12, 0),
    }
    families = lineages(tracks, np.array([1, 5, 8]))
    assert families[1] == families[2] == families[3] == families[4]
    assert len({families[1], families[5], families[8]}) == 3
    assert set(families.values()) == {0, 1, 2}


def test_dummies_and_dying(tmp_path: Path, write_sequence: WriteSequence) -> None:
    place = write_sequence(tmp_path, "a", {1: (10, 10), 2: (10, 30), 3: (30, 10)}, frames=6)
    (place / "deaths.txt").write_text("1 0\n2 1\n3 0\n")
    (place / "dummy_tracks.txt").write_text("3\n")
    sequence = find_sequences(tmp_path).sequences[0]
    objects, lost = objects_of(sequence.cells, sequence.frames)
    assert lost == 0
    assert set(objects["track"]) == {1, 2}
    assert objects["frame"][objects["dying"]].tolist() == [3, 4, 5]
    assert set(objects["track"][objects["dying"]]) == {2}


def test_damaged_label_image(tmp_path: Path) -> None:
    path = tmp_path / "mask000.tif"
    path.write_bytes(b"junk")
    with pytest.raises(DataError, match=r"mask000\.tif cannot be read"):
        read_label_image(path)
    tifffile.imwrite(path, np.zeros((2, 4, 4), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"expected whole numbers \[H, W\]"):
        read_label_image(path)


def test_real_sequence_of_the_challenge() -> None:
    root = Path(__file__).parents[4] / "shared" / "data" / "psc"
    if not root.is_dir():
        pytest.skip("optional: the Cell Tracking Challenge sequence in ../shared/data/psc")
    frames = frame_files(root / "02")
    labels = (root / "02_ST" / "SEG").iterdir()
    images = {int(m[1]): path for path in labels if (m := LABEL_FILE.match(path.name))}
    few = {number: images[number] for number in sorted(images)[:3]}
    objects, lost = objects_of(Labels(images=few, tracks={}), frames)
    assert lost == 0
    assert len(objects) > 150
    frame = read_frame(frames[sorted(few)[0]])
    assert frame.shape == (576, 720)
    assert objects["row"].max() < 576
    assert objects["column"].max() < 720
