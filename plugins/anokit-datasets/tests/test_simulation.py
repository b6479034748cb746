from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from anokit.errors import DataError, MissingDataError
from anokit_datasets.kth import kth_cellvideos
from anokit_datasets.kth.format import find_sequences
from anokit_datasets.options import KthOptions
from anokit_datasets.simulation import simulated_kth
from anokit_datasets.simulation.cells import Cell
from anokit_datasets.simulation.optics import BACKGROUND, NOISE, dots, expose
from anokit_datasets.simulation.sequence import Microwell, overlap

FRAMES = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root that is not there and that a simulation was asked to stand in for."""
    place = tmp_path_factory.mktemp("data") / "kth"
    simulated_kth(options(place))
    return place


def options(root: Path, **more: int) -> KthOptions:
    settings = {"simulated_sequences": 2, "simulated_frames": FRAMES, "test_size": 8, **more}
    return KthOptions(root=str(root), **settings)


def folder(root: Path) -> Path:
    (found,) = (p for p in root.parent.glob("kth-simulated-*") if not p.name.endswith("-crops"))
    return found


def test_stand_in_is_marked_and_beside_the_root(root: Path) -> None:
    source = simulated_kth(options(root))
    assert source.simulated
    assert "drawn by a program" in source.notices[0]
    assert not root.exists()
    assert (folder(root) / "SIMULATED.txt").is_file()
    assert source.contaminants is not None
    assert source.test is not None
    assert source.test.labels == [0] * 8 + [1] * 8


def test_the_same_reader_reads_it(root: Path) -> None:
    direct = kth_cellvideos(options(folder(root)))
    assert direct.train.ids == simulated_kth(options(root)).train.ids
    assert not direct.simulated
    with pytest.raises(MissingDataError):
        kth_cellvideos(options(root))


def test_it_is_drawn_once(root: Path) -> None:
    file = next(folder(root).glob("microwell-01/*.tif"))
    before = file.stat().st_mtime_ns
    simulated_kth(options(root))
    assert file.stat().st_mtime_ns == before


def test_files_keep_the_format(root: Path) -> None:
    for sequence in find_sequences(folder(root)).sequences:
        assert sorted(sequence.frames) == list(range(FRAMES))
        assert sequence.debris is not None
        for labels in (sequence.cells, sequence.debris):
            seen: dict[int, list[int]] = {}
            for number, path in labels.images.items():
                with tifffile.TiffFile(path) as file:
                    assert file.pages.first.compression == tifffile.COMPRESSION.LZW
                    image = file.asarray()
                assert image.dtype == np.uint16
                for track in np.unique(image[image > 0]):
                    seen.setdefault(int(track), []).append(number)
            text = {track: (line.start, line.end) for track, line in labels.tracks.items()}
            assert text == {track: (min(at), max(at)) for track, at in seen.items()}
        place = sequence.cells.images[0].parent
        assert (place.parent / "SEG" / "man_seg000.tif").is_file()
        assert (place / "deaths.txt").is_file()


def test_seed_and_size_decide_the_pictures(tmp_path: Path) -> None:
    def picture(place: str, **more: int) -> np.ndarray:
        root = tmp_path / place / "kth"
        simulated_kth(options(root, **{"simulated_sequences": 1, "simulated_frames": 2, **more}))
        return tifffile.imread(folder(root) / "microwell-01" / "t001.tif")

    first = picture("a")
    assert (picture("b") == first).all()
    assert (picture("c", simulation_seed=1) != first).mean() > 0.5


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set `root`"):
        simulated_kth(options(tmp_path / "file" / "kth"))


def test_grey_values_are_the_real_frames() -> None:
    well = Microwell(np.random.default_rng(0))
    (frame,) = well.film(1)
    assert abs(np.median(frame.picture) - BACKGROUND) < 4
    cells = frame.picture[frame.cells > 0].astype(float)
    field = frame.picture[(frame.cells == 0) & (frame.debris == 0)].astype(float)
    assert cells.std() > 2 * field.std()
    assert cells.min() < 110
    assert cells.max() > 180


def test_noise_is_as_measured() -> None:
    shape = (200, 200)
    nothing = np.zeros(shape, np.float32)
    light = np.full(shape, BACKGROUND, np.float32)
    picture = expose(light, nothing, nothing, nothing, np.random.default_rng(0)).astype(float)
    noise = picture - picture.mean()
    assert noise.std() == pytest.approx(NOISE, rel=0.1)
    neighbours = (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()
    assert neighbours == pytest.approx(0.55, abs=0.1)


def test_cells_divide_and_die() -> None:
    well = Microwell(np.random.default_rng(5))
    for number in range(1, 60):
        well.go_on(number)
        for cell in well.cells:
            well.cell_tracks.see(cell.track, number, cell.parent)
    daughters: dict[int, list[int]] = {}
    for track, (start, _, parent) in well.cell_tracks.lines.items():
        if parent:
            daughters.setdefault(parent, []).append(track)
            assert start == well.cell_tracks.lines[parent][1] + 1
    assert daughters
    assert all(len(pair) == 2 for pair in daughters.values())
    assert well.cell_tracks.died
    assert not well.cell_tracks.died & set(daughters)


def test_cells_stay_in_the_well() -> None:
    cell = Cell(1, 50.0, 50.0, 0.0, np.random.default_rng(0))
    for _ in range(100):
        cell.move((50.0, 50.0), 30.0)
        assert np.hypot(cell.row - 50, cell.column - 50) <= 30.001


def test_dots_lie_where_they_should() -> None:
    picture = dots(np.array([10.0]), np.array([14.0]), np.array([1.0]), np.array([50.0]), 32)
    assert np.unravel_index(picture.argmax(), picture.shape) == (10, 14)
    assert picture.max() == pytest.approx(35)
    assert dots(np.array([2.0]), np.array([14.0]), np.array([1.0]), np.array([5.0]), 32).max() == 0


@pytest.mark.parametrize("place", [(20.5, 30.2), (1.0, 1.0), (39.0, 2.0), (-30.0, 500.0)])
def test_overlap_of_square_and_frame(place: tuple[float, float]) -> None:
    here, there = overlap(*place, 8, (40, 50))
    frame, square = np.zeros((40, 50)), np.ones((16, 16))
    assert frame[here].shape == square[there].shape
