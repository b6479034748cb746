from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anokit.errors import DataError
from anokit_datasets.source import draw, draw_in_proportion
from anokit_datasets.storage import appear_whole, beside, create_array, fingerprint, open_array


def test_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with appear_whole(target, "it", "help") as temporary:
        (temporary / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"
    with pytest.raises(KeyError), appear_whole(tmp_path / "other", "it", "help"):
        raise KeyError
    assert not (tmp_path / "other").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_the_faster_process_wins(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with appear_whole(target, "it", "help") as temporary:
        (temporary / "file").write_text("ours")
        target.mkdir()
        (target / "file").write_text("theirs")
    assert (target / "file").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"the crops cannot be written.*No space.*use another"),
        appear_whole(tmp_path / "target", "the crops", "use another disk"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_array_is_mapped_and_changes_stay_private(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    array = create_array(path, (3, 1, 2, 2))
    array[:] = 7
    array.flush()
    assert (np.load(path) == 7).all()
    opened = open_array(path)
    assert isinstance(opened, np.memmap)
    opened[0] = 1
    assert (np.load(path) == 7).all()


@pytest.mark.parametrize("root", [".", "inner/..", "../root", "./"])
def test_beside_is_never_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    (tmp_path / "root" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "root")
    assert beside(Path(root), "-crops").resolve() == tmp_path / "root-crops"


def test_fingerprint_changes_with_settings_and_files(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    first = fingerprint({"a": 1}, [file])
    assert fingerprint({"a": 1}, [file]) == first
    assert fingerprint({"a": 2}, [file]) != first
    file.write_text("xy")
    assert fingerprint({"a": 1}, [file]) != first


def test_draws_are_nested_and_proportional() -> None:
    assert draw(5, None, 0).tolist() == [0, 1, 2, 3, 4]
    assert set(draw(100, 7, 0)) < set(draw(100, 20, 0))
    labels = [0] * 80 + [1] * 20
    chosen = draw_in_proportion(labels, 10, 0)
    assert len(chosen) == 10
    assert sum(labels[i] for i in chosen) == 2
    few = draw_in_proportion([0] * 99 + [1], 2, 0)
    assert 99 in few
    assert len(few) == 2
