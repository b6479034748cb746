"""A folder of ranked images: its files, its page, its contact sheet."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from anokit.errors import DataError, UsageError
from anokit.report.beside import Near
from anokit.report.contact_sheet import CELL, MOST, Cell, contact_sheet, on_sheet
from anokit.report.heat import Heat
from anokit.report.ranked_gallery import Entry, _file_name, write_gallery

SCALE = SimpleNamespace(low=0.0, high=1.0, threshold=0.5)
HEAT = Heat(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4))
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.text, self.open = [], "", []
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def original(tmp_path):
    """Write an image file of that name and size, and return its path."""

    def write(name, size=(60, 40)):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", size, (40, 90, 140)).save(path)
        return path

    return write


def written(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_every_entry_has_its_files_and_its_place_on_the_page(tmp_path, original):
    large = original("b.jpg", (2000, 1000))
    found = write_gallery(
        tmp_path / "out",
        iter(
            [
                Entry(1, 0.98312, True, original("a.png"), 0.0042, HEAT),
                Entry(2, 0.5, False, large, None, HEAT),
                Entry(3, 0.25, False, original("c.png")),
            ]
        ),
        SCALE,
        title="Ranked",
        facts={"Score": "knn"},
    )
    assert found.page == tmp_path / "out" / "index.html"
    assert (found.count, found.missing) == (3, [])
    assert written(tmp_path / "out") == [
        "0001_0.9831_a.png",
        "0002_0.5_b.png",
        "0003_0.25_c.png",
        "contact_sheet.png",
        "index.html",
        "originals/0001_0.9831_a.png",
        "originals/0002_0.5_b.jpg",
    ]
    page = Page(found.page)
    verdicts = re.findall(
        r"rank\s+(\d)\s+score\s+([\d.]+)\s+(?:p-value\s+(\S+)\s+)?(.*)", page.text
    )
    assert verdicts == [
        ("1", "0.9831", "0.0042", "flagged"),
        ("2", "0.5", "", "not flagged"),
        ("3", "0.25", "", "not flagged"),
    ]
    assert str(large) in page.text
    assert "3, of which 1 flagged" in page.text
    with Image.open(tmp_path / "out" / "0002_0.5_b.png") as overlay:
        assert overlay.size == (1600, 800)
    # An overlay is not the original; an entry without a map is.
    with Image.open(tmp_path / "out" / "0001_0.9831_a.png") as overlay:
        assert len(overlay.getcolors(100_000)) > 1
    with Image.open(tmp_path / "out" / "0003_0.25_c.png") as alone:
        assert alone.getcolors() == [(480 * 320, (40, 90, 140))]


def test_the_page_needs_nothing_but_the_folder(tmp_path, original):
    odd = original("50% of #1 & <b>ü?.png")
    entries = [Entry(1, 1.0, True, odd, None, HEAT), Entry(2, 0.5, False, odd)]
    folder = tmp_path / "out"
    page = Page(write_gallery(folder, entries, SCALE, title="<i>&", facts={"<u>": "<s>"}).page)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "b", "i", "u", "s", "base", "form"}
    assert not re.search(r"https?:|url\(|@import|//", page.source)
    addresses = [a["src"] for a in page.all("img")] + [a["href"] for a in page.all("a")]
    assert {unquote(address) for address in addresses} == set(written(folder)) - {"index.html"}
    assert all(re.fullmatch(r"[\w.%/-]+", address, re.ASCII) for address in addresses)
    assert not any(address.startswith("/") for address in addresses)
    assert odd.name in page.text
    assert all(odd.name in attributes["alt"] for attributes in page.all("img"))
    for attributes in page.all("img"):
        with Image.open(folder / unquote(attributes["src"])) as picture:
            assert picture.size == (int(attributes["width"]), int(attributes["height"]))


def test_an_original_that_is_gone_is_said_so_and_the_rest_is_written(tmp_path, original):
    gone = tmp_path / "gone & <away>.png"
    (tmp_path / "text.png").write_text("no image")
    paths = [gone, tmp_path / "text.png", original("a.png")]
    entries = [Entry(i, 1 / i, True, path, None, HEAT) for i, path in enumerate(paths, 1)]
    found = write_gallery(tmp_path / "out", entries, SCALE)
    assert [path for path, _ in found.missing] == paths[:2]
    page = Page(found.page)
    assert "the file is no longer there" in page.text
    assert "cannot be read as an image" in page.text
    assert str(gone) in page.text
    assert len(page.all("article")) == 3
    assert len(page.all("img")) == 2
    assert "0003_0.3333_a.png" in written(tmp_path / "out")


def test_a_map_that_is_not_finite_is_an_error_that_names_the_image(tmp_path, original):
    wrong = Heat(np.array([[0, np.nan]], np.float32))
    path = original("b.png")
    entries = [Entry(1, 1.0, True, original("a.png"), None, HEAT), Entry(2, 1.0, True, path, 0.5)]
    folder = tmp_path / "out"
    write_gallery(folder, entries, SCALE)
    before = written(folder)
    bad = [entries[0], Entry(2, 1.0, True, path, None, wrong)]
    with pytest.raises(DataError, match=r"b\.png: 1 of 2 values of the map are not finite"):
        write_gallery(folder, bad, SCALE)
    assert written(folder) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_maps_need_a_scale(tmp_path, original):
    with pytest.raises(DataError, match=r"a\.png: has a map but the gallery no scale"):
        write_gallery(tmp_path / "out", [Entry(1, 1.0, True, original("a.png"), None, HEAT)])
    assert not (tmp_path / "out").exists()


def test_names_are_safe_unique_and_in_order(tmp_path, original):
    stems = ["a b/../c", "A_b", "..hidden", "ä" * 300, "???", "日本"]
    path = original("x.png")
    names = [SimpleNamespace(stem=stem, name=stem) for stem in stems]
    taken = set()
    made = [_file_name(Entry(7, 0.5, True, one), taken) for one in (*names, *names)]
    assert all(re.fullmatch(r"0007_0\.5_[\w.-]+", name) for name in made)
    assert len({name.casefold() for name in made}) == len(made)
    assert max(len(name.encode()) for name in made) < 200
    assert made[2:6] == [
        "0007_0.5_hidden",
        f"0007_0.5_{'ä' * 60}",
        "0007_0.5_image",
        "0007_0.5_日本",
    ]
    ranks = [
        Entry(rank, score, False, path) for rank, score in ((2, 1e-9), (10, -3.0), (12345, 2e6))
    ]
    write_gallery(tmp_path / "out", ranks)
    assert written(tmp_path / "out")[:3] == [
        "0002_1e-09_x.png",
        "0010_-3_x.png",
        "12345_2e+06_x.png",
    ]


def test_only_an_earlier_gallery_is_replaced(tmp_path, original):
    folder = tmp_path / "out"
    one, two = original("a.png"), original("b.png")
    write_gallery(folder, [Entry(1, 0.5, True, one, None, HEAT)], SCALE)
    write_gallery(folder, [Entry(1, 0.5, True, two)])
    assert written(folder) == ["0001_0.5_b.png", "contact_sheet.png", "index.html"]
    (folder / ".DS_Store").touch()
    write_gallery(folder, [Entry(1, 0.5, True, one, None, HEAT)], SCALE)
    for name in ("notes.txt", "originals/mine.png"):
        (folder / name).touch()
        with pytest.raises(UsageError, match=re.escape(f"{name}, which would be lost")):
            write_gallery(folder, [Entry(1, 0.5, True, two)])
        (folder / name).unlink()
    assert "0001_0.5_a.png" in written(folder)


def test_somebodys_originals_are_not_taken_for_a_gallery(tmp_path, original):
    mine = tmp_path / "data" / "originals"
    mine.mkdir(parents=True)
    (mine / "0001_mine.png").touch()
    with pytest.raises(UsageError, match="holds originals"):
        write_gallery(tmp_path / "data", [Entry(1, 0.5, True, original("a.png"))])
    (tmp_path / "data" / "index.html").write_text("<html>mine</html>")
    with pytest.raises(UsageError, match=r"holds index\.html"):
        write_gallery(tmp_path / "data", [Entry(1, 0.5, True, original("a.png"))])
    assert (mine / "0001_mine.png").exists()


def test_a_gallery_of_nothing_is_a_page(tmp_path):
    found = write_gallery(tmp_path / "out", [])
    assert "0, of which 0 flagged" in Page(found.page).text


def test_the_scale_of_the_legend_is_the_one_that_was_given(tmp_path, original):
    scale = SimpleNamespace(low=2.0, high=6.0, threshold=5.0)
    entries = [Entry(1, 0.5, True, original("a.png"), None, HEAT)]
    page = Page(write_gallery(tmp_path / "out", entries, scale).page)
    [mark] = [a["style"] for a in page.all("span") if a.get("class") == "mark"]
    assert mark == "left: 75.0%"
    assert "crosses the threshold, 5." in page.text
    page = Page(write_gallery(tmp_path / "out", [Entry(1, 0.5, True, original("a.png"))]).page)
    assert "One scale" not in page.text


def sheet_cell(rank=1, *, flagged=False, size=(CELL, CELL)):
    return Cell(Image.new("RGB", size, (0, 0, 255)), rank, "0.5", "n" * 200, flagged)


def test_a_sheet_shows_every_picture_once_and_frames_the_flagged():
    cells = [sheet_cell(i, flagged=i == 3, size=(CELL, 100 + i)) for i in range(1, 8)]
    pixels = np.asarray(contact_sheet(cells)).astype(int)
    blue = (pixels == (0, 0, 255)).all(axis=2)
    assert blue.sum() == sum(CELL * (100 + i) for i in range(1, 8))
    framed = contact_sheet([sheet_cell(flagged=True)])
    assert framed.tobytes() != contact_sheet([sheet_cell()]).tobytes()
    # Long names end before the next picture.
    alone = np.asarray(contact_sheet([sheet_cell()]))
    assert (alone[:, -20:] == 255).all()


def test_a_sheet_says_what_it_leaves_out():
    few, many = (contact_sheet([Cell(None, 1, "1", "a", False)] * n) for n in (MOST, MOST + 1000))
    assert few.width == many.width
    assert few.height < many.height < few.height + 100
    assert max(many.size) < 6000


def near(path=None, picture=None, name="n"):
    return Near(name, 0.0123, path, picture)


def test_what_is_like_an_image_stands_beside_it(tmp_path, original):
    drawn = Image.new("RGB", (512, 512), (9, 9, 9))
    beside = [near(original("b.png")), near(picture=drawn), near(tmp_path / "gone.png")]
    entries = [
        Entry(1, 0.5, True, original("a.png"), near=beside),
        Entry(2, 0.4, False, Path("id/7"), picture=drawn, near=beside[:1]),
        Entry(3, 0.3, False, tmp_path / "gone too.png", near=beside[:1]),
    ]
    found = write_gallery(tmp_path / "out", entries, lead="Look <here>.", table="rank\r\n")
    assert found.missing == [(tmp_path / "gone too.png", "the file is no longer there")]
    assert written(tmp_path / "out") == [
        "0001_0.5_a.png",
        "0002_0.4_7.png",
        "contact_sheet.png",
        "index.html",
        "nearest/0001_0.5_a_1.jpg",
        "nearest/0001_0.5_a_2.png",
        "nearest/0002_0.4_7_1.jpg",
        "nearest/0003_0.3_gone_too_1.jpg",
        "suspects.csv",
    ]
    page = Page(found.page)
    assert "Look <here>." in page.text
    assert page.text.count("distance 0.0123") == 5
    assert [len(article) for article in pictures_by_article(page)] == [3, 2, 1]
    addresses = {unquote(a["src"]) for a in page.all("img")}
    assert addresses == {
        name for name in written(tmp_path / "out") if name[-3:] in ("png", "jpg")
    } - {"contact_sheet.png"}
    assert page.text.count("the file is no longer there") == 2
    write_gallery(tmp_path / "out", entries[:1])  # it is an earlier gallery
    assert "suspects.csv" not in written(tmp_path / "out")


def pictures_by_article(page):
    found = []
    for tag, attributes in page.elements:
        if tag == "article":
            found.append([])
        elif tag == "img":
            found[-1].append(attributes["src"])
    return found


def test_a_sheet_keeps_together_what_belongs_together():
    def block(count):
        return replace(sheet_cell(), beside=[replace(sheet_cell(), rank=None)] * count)

    pixels = np.asarray(contact_sheet([block(3)] * 6))
    blue = (pixels == (0, 0, 255)).all(axis=2)
    assert blue.sum() == 24 * CELL * CELL
    line = np.flatnonzero(np.diff(blue[100].astype(int)))
    gaps = line[2::2] - line[1:-1:2]
    assert set(gaps[3::4]) == {44}
    assert set(np.delete(gaps, np.s_[3::4])) == {8}
    many = [Cell(None, 1, "1", "a", False, [Cell(None, None, "1", "a", False)] * 3)] * (MOST + 1)
    assert on_sheet(many) == MOST // 4
    assert max(contact_sheet(many).size) < 6000
