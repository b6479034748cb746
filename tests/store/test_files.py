"""Files of a run are written whole or not at all, and by one writer."""

import errno
import os
import re
import stat
from pathlib import Path

import pytest
import torch

from anokit.errors import CheckpointError
from anokit.store.files import (
    make_folder,
    place_copy,
    refused,
    replacing,
    write_json,
    write_text,
)
from anokit.store.tensors import load_tensors, save_tensors


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as new:
            new.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("write", [write_text, write_json, save_tensors])
def test_a_full_disk_is_said_with_the_file_and_the_old_one_kept(tmp_path, monkeypatch, write):
    path = tmp_path / "file"
    content = {write_text: "x", write_json: {}, save_tensors: {"t": torch.ones(2)}}[write]
    write(path, content)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match=r"file: could not be written: No space.*kept as it"):
        write(path, content)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_may_be_read_by_whom_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "text", "x")
        save_tensors(tmp_path / "tensors", {"t": torch.ones(2)})
    finally:
        os.umask(before)
    for name in ("text", "tensors"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~umask


def test_a_second_name_leaves_the_permissions_of_a_file(tmp_path):
    path = tmp_path / "file"
    write_text(path, "x")
    path.chmod(0o640)  # of another of the group perhaps, whose permissions are not ours to change
    place_copy(path, tmp_path / "second")
    assert (tmp_path / "second").samefile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_second_name_of_a_link_is_one_of_what_it_leads_to(tmp_path):
    write_text(tmp_path / "file", "x")
    (tmp_path / "link").symlink_to("file")
    make_folder(tmp_path / "folder")
    place_copy(tmp_path / "link", tmp_path / "folder" / "second")
    assert (tmp_path / "folder" / "second").read_text() == "x"
    write_text(tmp_path / "link", "y")
    place_copy(tmp_path / "folder" / "second", tmp_path / "link")
    assert (tmp_path / "link").read_text() == (tmp_path / "file").read_text() == "x"


def test_nothing_has_its_name_before_it_is_on_the_disk(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr("os.fsync", lambda handle: (order.append("disk"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda *a: (order.append("name"), replace(*a))[1])
    save_tensors(tmp_path / "t", {"t": torch.ones(2)})
    assert order == ["disk", "name", "disk"]
    assert load_tensors(tmp_path / "t")["t"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space there"),
        (errno.EACCES, "let this user write there"),
        (errno.EROFS, "let it be written to"),
    ],
)
def test_what_to_do_is_said_for_every_reason(tmp_path, monkeypatch, number, advice):
    def refuse(*_):
        raise OSError(number, "reason")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(CheckpointError, match=f"could not be written: .*; {advice}$"):
        write_text(tmp_path / "a", "x")


@pytest.mark.parametrize("write", [write_text, save_tensors])
def test_a_folder_that_was_deleted_does_not_come_back(tmp_path, write):
    content = {write_text: "x", save_tensors: {"t": torch.ones(2)}}[write]
    with pytest.raises(CheckpointError, match="its folder is gone: was it moved or deleted"):
        write(tmp_path / "run" / "a", content)
    with pytest.raises(CheckpointError, match="its folder is gone"):
        make_folder(tmp_path / "run" / "checkpoint")
    assert not (tmp_path / "run").exists()


def test_a_name_may_be_as_long_as_the_file_system_lets_it(tmp_path):
    write_text(tmp_path / ("x" * 255), "x")
    assert (tmp_path / ("x" * 255)).read_text() == "x"
    with pytest.raises(CheckpointError, match="choose a shorter name"):
        write_text(tmp_path / ("x" * 256), "x")
    assert len(list(tmp_path.iterdir())) == 1


def test_line_ends_stay_as_they_are_given(tmp_path):
    write_text(tmp_path / "t", "a\r\nb\n")
    assert (tmp_path / "t").read_bytes() == b"a\r\nb\n"


PAST_THE_WRITER = re.compile(
    r"(?<!\bnew)(?<!\bdirectory)\.write_(text|bytes)\(|save_file\(|\.open\(\s*['\"][wax]"
)


def test_nothing_that_a_run_leaves_is_written_any_other_way(repository):
    """Whoever writes into a run directory does so through `anokit.store`."""
    rooms = ("data", "training", "scoring", "results", "report", "runs")
    found = [
        f"{path.relative_to(repository)}: {line.strip()}"
        for room in rooms
        for path in (repository / "anokit" / room).rglob("*.py")
        for line in path.read_text().splitlines()
        if PAST_THE_WRITER.search(line)
    ]
    assert not found


def test_what_the_system_refuses_where_nobody_looked_out_is_told_in_a_sentence():
    told = refused(OSError(errno.EROFS, "Read-only", "/x/list"))
    assert str(told) == "/x/list: Read-only file system; let it be written to"
    assert str(refused(OSError(errno.ENOSPC, "", b"/x"))).startswith("/x: No space left on device")
    assert refused(OSError(errno.ENOSPC, "")) is None
    assert refused(OSError(errno.EBADF, "", "/x")) is None
