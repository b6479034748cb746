"""A folder of files is seen whole, or not at all."""

import errno
from pathlib import Path

import pytest

from anokit.errors import CheckpointError, UsageError
from anokit.store.files import beside, write_text
from anokit.store.folders import replacing_folder


def texts(folder):
    return next((path.name for path in folder.iterdir() if path.suffix != ".txt"), "")


def fill(path, content, name="a.txt"):
    with replacing_folder(path, texts) as new:
        write_text(new / name, content)


def names(path):
    return sorted(one.name for one in path.iterdir())


def test_nothing_is_seen_before_all_is_written(tmp_path):
    path = tmp_path / "deep" / "folder"
    with replacing_folder(path, texts) as new:
        write_text(new / "a.txt", "x")
        assert not path.exists()
        assert new.parent == path.parent
    assert names(path) == ["a.txt"]
    assert names(path.parent) == ["folder"]


def test_an_earlier_one_is_replaced_with_all_its_files(tmp_path):
    path = tmp_path / "folder"
    fill(path, "old", "old.txt")
    fill(path, "new", "new.txt")
    assert names(path) == ["new.txt"]
    assert names(tmp_path) == ["folder"]


def test_a_relative_path_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(Path("folder"), "x")
    assert names(tmp_path / "folder") == ["a.txt"]


def test_a_link_leads_to_the_folder_that_is_replaced(tmp_path):
    fill(tmp_path / "folder", "old")
    (tmp_path / "link").symlink_to("folder")
    fill(tmp_path / "link", "new")
    assert (tmp_path / "folder" / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["folder", "link"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_folder_and_nothing_else(tmp_path, error):
    path = tmp_path / "folder"
    fill(path, "old")

    def fail():
        with replacing_folder(path, texts) as new:
            write_text(new / "a.txt", "half")
            raise error

    with pytest.raises(error):
        fail()
    assert (path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_full_disk_is_said_and_the_old_folder_kept(tmp_path):
    path = tmp_path / "folder"
    fill(path, "old")

    def fail():
        with replacing_folder(path, texts):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match=r"folder: could not be written: No space.*kept as"):
        fail()
    assert (path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_where_the_new_one_cannot_be_named_the_old_one_comes_back(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    fill(path, "old")
    rename = Path.rename

    def refuse(self, target):
        if self.name == beside(path, "new").name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(CheckpointError, match=r"Permission denied; .*; the folder that was there"):
        fill(path, "new")
    assert (path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_process_killed_between_the_renames_loses_nothing(tmp_path):
    path = tmp_path / "folder"
    fill(path, "old")
    path.rename(beside(path, "old"))

    def fail():
        with replacing_folder(path, texts):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (path / "a.txt").read_text() == "old"


def test_what_a_killed_process_left_is_not_taken_over(tmp_path):
    left = beside(tmp_path / "folder", "new")
    left.mkdir()
    (left / "half.txt").touch()
    fill(tmp_path / "folder", "x")
    assert names(tmp_path / "folder") == ["a.txt"]


def test_what_is_somebodys_is_not_touched(tmp_path):
    path = tmp_path / "folder"
    fill(path, "old")
    (path / "thesis.doc").touch()
    with pytest.raises(UsageError, match=r"holds thesis\.doc, which would be lost"):
        fill(path, "new")
    assert (path / "a.txt").read_text() == "old"
    with pytest.raises(UsageError, match="is a file"):
        fill(path / "a.txt", "new")
    assert names(tmp_path) == ["folder"]
