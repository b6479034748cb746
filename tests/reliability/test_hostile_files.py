"""Files of any name and any content in a folder end no command, and no table is dangerous."""

import csv
import json
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECIPE = """
title = "=1+1"
[dataset]
use = "image-folder"
root = "elsewhere"
size = 8
channels = 1
[backbone]
use = "linear"
images = 64
[[scores]]
use = "error"
[training]
refine = { share = 0.1, every = 0.5 }
[evaluation]
resamples = 20
overlays = 3
"""
GOOD = ["=1+1.png", "-x.png", "+y.png", "@z.png", "a,b\"c'd.png", "line\nbreak\x1b[31m.png"]
BAD = ["cut.png", "empty.jpg", "pipe.png", "socket.png", "link.png", "folder-loop.png"]
BAD += ["bomb.png", "bomb.tif", "flat.tif"]
FOLDER = "=cmd()"


def tiff(width, height):
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 122, 277: 1}
    tags |= {278: height, 279: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + b"abc"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Lay out a folder of 36 images and of all that a folder may hold beside them."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / FOLDER
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(28)] + GOOD
    raw = [name.encode() for name in names] + [b"\xff\xfe.png", b"x" * 251 + b".png"]
    for name in raw:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{FOLDER}/socket.png")
    (folder / "link.png").symlink_to("nowhere.png")
    (folder / "folder-loop.png").symlink_to("folder-loop.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    (folder / "bomb.tif").write_bytes(tiff(100_000, 100_000))
    (folder / "flat.tif").write_bytes(tiff(0, 10))
    locked = folder / "locked"
    locked.mkdir()
    (locked / "inside.png").write_bytes(whole)
    scandir = os.scandir

    def refuse(path=".", *rest):  # who tests may be root, for whom all is open
        if isinstance(path, str) and path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path, *rest)

    monkeypatch.setattr(os, "scandir", refuse)
    (tmp_path / "small.toml").write_text(RECIPE)
    (tmp_path / "extra.toml").write_text('[[scores]]\nname = "near"\nuse = "far"\n')
    return folder


def cells_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_no_command_ends_by_a_file_and_no_table_holds_a_formula(toykit, hostile, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "anokit-datasets")
    scan = ("scan", FOLDER, "--recipe", "small.toml", "--out", "run", "--top", "3")
    done = toykit(*scan, "--device", "cpu")
    assert done.code == 1, done.err
    commands = [
        done,
        toykit("add-scores", "run", "--scores", "extra.toml", "--device", "cpu"),
        toykit("suspects", "run", "--top", "36", "--device", "cpu"),
        toykit("score", "run", FOLDER, "--out", "s.csv", "--maps", "maps", "--device", "cpu"),
    ]
    assert [one.code for one in commands] == [1, 1, 0, 1], commands[-1].err
    for one in commands:
        assert "Traceback" not in one.err
        assert "\x1b[31m" not in one.out + one.err
    results = json.loads(Path("run/results.json").read_text())
    assert set(results["unread"]) == {*BAD, "locked"}
    for name in BAD:
        for scored in commands[:2]:
            assert f"\nwarning: {name} is left out: {results['unread'][name]}\n" in scored.out
        assert f"{name} is left out: " in commands[-1].out, name
    assert "\n10 files could not be read; all else is done.\n" in commands[0].out
    assert "locked is left out: Permission denied" in commands[-1].out
    assert "10 could not be read" in commands[-1].out
    told = " ".join(results["notices"])
    assert "9 of 45 training images could not be used" in told
    assert "locked: Permission denied" in told
    assert len(list(Path("maps").glob("0*.png"))) == len(cells_of(Path("s.csv"))) - 1 == 36
    tables = [Path("s.csv"), *Path("run").rglob("*.csv")]
    assert {path.name for path in tables} == {
        "s.csv",
        "training_scores.csv",
        "suspects.csv",
        "rejected.csv",
    }
    odd = "line\nbreak\x1b[31m.png"
    for path in tables:
        cells = [cell for row in cells_of(path) for cell in row]
        for cell in [cell for cell in cells if cell[:1] in tuple("=+-@")]:
            float(cell)  # or it is a formula
        images = {cell for cell in cells if cell.endswith(odd)}
        assert path.name == "rejected.csv" or images == {f"./{FOLDER}/{odd}"}
