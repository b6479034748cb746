"""What a change of a finished run leaves behind where it is stopped."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from anokit.store.files import make_folder, write_text
from anokit.store.run_directory import RunDirectory
from anokit.store.undo import UNDO, changing, put_back

BEFORE = {"results.json": "old", "report.html": "old", "figures/roc.png": "old"}
AFTER = {**dict.fromkeys(BEFORE, "new"), "added.json": "new"}


def contents(run):
    files = (path for path in run.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(run).as_posix(): path.read_text() for path in files}


@pytest.fixture
def run(tmp_path):
    make_folder(tmp_path / "figures")
    for name, text in BEFORE.items():
        write_text(tmp_path / name, text)
    return tmp_path


def change(run, stopped_by=None):
    with changing(RunDirectory(run)):
        for name, text in AFTER.items():
            write_text(run / name, text)
        if stopped_by:
            raise stopped_by


@pytest.mark.parametrize("linked", [True, False], ids=["hard links", "copies"])
def test_a_change_that_fails_leaves_each_file_as_it_was(run, monkeypatch, linked):
    def refused(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not linked:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    with pytest.raises(ZeroDivisionError):
        change(run, ZeroDivisionError)
    assert contents(run) == BEFORE
    change(run)
    assert contents(run) == AFTER


def test_a_change_that_was_killed_is_undone(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("anokit.store.undo._put_back", lambda _: None)  # as where it was killed
        with pytest.raises(KeyboardInterrupt):
            change(run, KeyboardInterrupt)
    assert (run / UNDO).exists()
    write_text(run / "figures" / "mine.png", "mine")
    put_back(RunDirectory(run))
    assert contents(run) == {**BEFORE, "figures/mine.png": "mine"}


def test_a_reader_waits_for_a_change_that_is_under_way(run):
    """It neither undoes what is being done, nor reads half of it, nor gives up at once."""
    begun, read = Event(), Event()

    def changed():
        with RunDirectory(run).locked(), changing(RunDirectory(run)):
            begun.set()
            assert not read.wait(0.3)
            for name, text in AFTER.items():
                write_text(run / name, text)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(changed)
        assert begun.wait(60)
        put_back(RunDirectory(run))
        read.set()
        assert contents(run) == AFTER
        done.result()
