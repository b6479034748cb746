"""Which image files folders and patterns are found to hold, and what is told of the rest."""

import os
from pathlib import Path

import pytest

from anokit.data import Found, find_images, match_images
from anokit.data.finding import walk_images
from anokit.runs.inputs import find_files

FILES = ["a.png", ".h.png", "x/b.png", "x/y/c.png", "x/y/n.txt", ".hid/d.png", "[x]/e.png"]
PATTERNS = {
    "*.png": ["a.png"],
    "*": ["a.png"],
    "*/*.png": ["[x]/e.png", "x/b.png"],
    "**/*.png": ["[x]/e.png", "a.png", "x/b.png", "x/y/c.png"],
    "**/**/*.png": ["[x]/e.png", "a.png", "x/b.png", "x/y/c.png"],
    "**": ["[x]/e.png", "a.png", "x/b.png", "x/y/c.png"],
    "x/**": ["x/b.png", "x/y/c.png"],
    "**/y/*": ["x/y/c.png"],
    "*/y/?.png": ["x/y/c.png"],
    "x/*/c.png": ["x/y/c.png"],
    "[[]x]/*": ["[x]/e.png"],
    "nowhere/*.png": [],
    "a.png/*": [],
    "**/[ab].png": ["a.png", "x/b.png"],
}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_it_says(photos, pattern, absolute, monkeypatch):
    monkeypatch.chdir(photos)
    found = match_images(photos / pattern if absolute else pattern, Found([]))
    base = photos if absolute else Path()
    assert list(found) == [base / name for name in PATTERNS[pattern]]


def test_links_that_lead_in_a_circle_are_followed_once(photos):
    (photos / "x" / "back").symlink_to(photos)
    (photos / "loop").symlink_to("loop")
    found = list(match_images(photos / "**/*.png", Found([])))
    assert [path.relative_to(photos).as_posix() for path in found] == PATTERNS["**/*.png"]


@pytest.mark.parametrize("pattern", ["**/*.png", "*/*.png", "x/*.png", "x/**", "**"])
def test_a_folder_that_a_pattern_cannot_look_into_is_told(photos, pattern, monkeypatch):
    scandir = os.scandir

    def refuse(path=".", *rest):  # who tests may be root, for whom all is open
        if Path(path).name == "x":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path, *rest)

    monkeypatch.setattr(os, "scandir", refuse)
    found = Found([])
    images = list(match_images(photos / pattern, found))
    assert not any("x" in path.parts for path in images)
    assert found.unreadable == [(photos / "x", "Permission denied")]
    assert f"cannot be looked into ({photos / 'x'}: Permission denied)" in found.skipped()


OUTPUTS = {
    "runs/one": ("resolved.json", "environment.json", "figures/f.png"),
    "maps": ("index.html", "contact_sheet.png", "0001_a.png", "originals/0001_a.png"),
    "fresh": (".lock",),
}


@pytest.fixture
def outputs(photos):
    for folder, names in OUTPUTS.items():
        for name in names:
            path = photos / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return photos


@pytest.mark.parametrize("pattern", ["", "**/*.png", "**"])
def test_what_anokit_wrote_is_passed_over_and_told(outputs, pattern):
    found = Found([])
    if pattern:
        images = list(match_images(outputs / pattern, found))
    else:
        images = list(walk_images(outputs, found))
    assert [path.relative_to(outputs).as_posix() for path in images] == PATTERNS["**/*.png"]
    told = {path.relative_to(outputs).as_posix() for path in found.outputs}
    assert told == set(OUTPUTS) - ({"fresh"} if pattern else set())
    assert f"{len(told)} that anokit wrote ({min(found.outputs)}, …)" in found.skipped()


def test_what_anokit_wrote_is_taken_where_it_is_named(outputs):
    originals = outputs / "maps" / "originals"
    assert find_images(outputs / "maps")
    assert find_images(originals) == [originals / "0001_a.png"]
    assert list(match_images(originals / "*.png", Found([]))) == [originals / "0001_a.png"]
    found = list(find_files([outputs, originals / "0001_a.png"], Found([])))
    assert found[-1] == originals / "0001_a.png"
    assert len(found) == len(PATTERNS["**/*.png"]) + 1
