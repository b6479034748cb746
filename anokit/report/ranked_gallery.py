"""A folder of ranked images to look through: overlays, a page, a contact sheet."""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import jinja2
from PIL import Image

from anokit.errors import DataError
from anokit.report.beside import NEAREST, Near, NearCard, write_near
from anokit.report.contact_sheet import MOST, Cell, contact_sheet, on_sheet, small
from anokit.report.heat import Heat, HeatScale
from anokit.report.originals import (
    DEFAULT_LEVELS,
    LONGEST,
    Levels,
    read_original,
    said,
    save_picture,
)
from anokit.report.overlays import check_heat, check_scale, ramp
from anokit.report.pictures import ORIGINALS, Made, make_pictures, take_pictures
from anokit.store.files import write_text
from anokit.store.folders import check_ours, replacing_folder

__all__ = ["Entry", "Gallery", "check_gallery", "write_gallery"]

PAGE, SHEET = "index.html", "contact_sheet.png"

TABLE = "suspects.csv"
"""The table that may lie beside the page."""

MARK = "anokit ranked gallery"
"""What the page says that it was made by; a folder without it is never replaced."""

WORKERS = 2
"""Threads that read, paint and write pictures."""

AHEAD = 4
"""Entries whose pictures may be under way at a time; each holds a map and an original."""

_OURS = re.compile(
    rf"{re.escape(PAGE)}|{re.escape(SHEET)}|{re.escape(TABLE)}|\d{{4,}}_[^/]*\.png"
    rf"|({ORIGINALS}|{NEAREST})(/\d{{4,}}_[^/]*\.(png|jpg))?"
    # What file managers leave wherever somebody looks.
    r"|\.DS_Store|Thumbs\.db|desktop\.ini"
)


@dataclass(frozen=True)
class Entry:
    """One ranked image."""

    rank: int
    """from 1"""
    score: float
    flagged: bool
    path: Path
    """the original, or what stands for its name where it is no file"""
    p_value: float | None = None
    heat: Heat | None = None
    """None where the score has no map"""
    picture: Image.Image | None = None
    """RGB; what is shown where the image is no file"""
    near: Sequence[Near] = ()
    """images that are like it, shown beside it"""
    made: tuple[Made, Path] | None = None
    """pictures that were made of it, and the folder that they lie in; nothing is read then"""


@dataclass(frozen=True)
class Gallery:
    """What was written."""

    page: Path
    count: int
    """entries, those that cannot be shown among them"""
    missing: list[tuple[Path, str]]
    """originals that cannot be shown, and why"""


@dataclass(frozen=True)
class _Card:
    """An entry as the page shows it."""

    entry: Entry
    score: str
    p_value: str
    name: str
    path: str
    original: str = ""
    """the picture's address in the folder; empty where there is none"""
    overlay: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    near: Sequence[NearCard] = field(default=())


def write_gallery(
    folder: Path,
    entries: Iterable[Entry],
    scale: HeatScale | None = None,
    *,
    title: str = "Ranked images",
    lead: str = "",
    facts: Mapping[str, str] | None = None,
    table: str = "",
    longest: int = LONGEST,
    levels: Levels = DEFAULT_LEVELS,
) -> Gallery:
    """Write a folder with every entry's picture, ``index.html`` and ``contact_sheet.png``.

    An entry's picture is ``<rank>_<score>_<stem>.png``: its map painted over the original, or the
    original alone. Originals that have an overlay are copied into ``originals/``. The page needs no
    other file, no network and no script. Entries are read one by one, so that an iterator need not
    hold all maps; the folder is seen once all is written. An original that is gone or unreadable is
    said so in its place.

    Parameters
    ----------
    folder
        absent, empty, or an earlier gallery, which is replaced
    entries
        in the order in which they are shown
    scale
        what the colours mean, the same for every image; needed where an entry has a map
    lead
        a sentence under the title
    facts
        what stands under the title, such as the score and its threshold
    table
        what is written to ``suspects.csv``; nothing is where it is empty
    longest
        most pixels along the longer side of a picture
    levels
        what becomes black and white of originals of more than 8 bits, as `read_original` has it

    Raises
    ------
    DataError
        Where a map is not finite, or the scale is missing or wrong.
    UsageError
        Where ``folder`` is a file or holds something else.
    CheckpointError
        Where it cannot be written.
    """
    if scale is not None:
        check_scale(scale)
    cards: list[_Card] = []
    cells: list[Cell] = []
    names: set[str] = set()
    with replacing_folder(folder, _foreign) as new, ThreadPoolExecutor(WORKERS) as pool:
        under_way: deque[Future[tuple[_Card, Cell]]] = deque()

        def take() -> None:
            card, cell = under_way.popleft().result()
            cards.append(card)
            cells.append(cell)

        for number, entry in enumerate(entries):
            if entry.heat is not None:
                check_heat(entry.heat, said(entry.path))
                if scale is None:
                    raise DataError(
                        f"{said(entry.path)}: has a map but the gallery no scale of colours; "
                        "give one to all or leave the maps out"
                    )
            name = _file_name(entry, names)
            # Beyond the sheet only the number counts; pictures would fill the memory.
            fits = number < MOST // (1 + len(entry.near))
            job = pool.submit(_written, new, name, entry, scale, longest, levels, fits=fits)
            under_way.append(job)
            if len(under_way) == AHEAD:
                take()
        while under_way:
            take()
        save_picture(new / SHEET, contact_sheet(cells))
        if table:
            write_text(new / TABLE, table)
        page = _page(cards, scale, title, lead, facts or {}, bool(table), on_sheet(cells))
        write_text(new / PAGE, page)
    missing = [(card.entry.path, card.problem) for card in cards if card.problem]
    return Gallery(folder / PAGE, len(cards), missing)


def check_gallery(folder: Path) -> None:
    """Raise `UsageError` where `write_gallery` would refuse to replace what is there."""
    check_ours(folder, _foreign)


def _written(
    new: Path,
    name: str,
    entry: Entry,
    scale: HeatScale | None,
    longest: int,
    levels: Levels,
    *,
    fits: bool,
) -> tuple[_Card, Cell]:
    """Write an entry's pictures; return its place on the page and on the sheet."""
    score = f"{entry.score:.4g}"
    p_value = "" if entry.p_value is None else f"{entry.p_value:.2g}"
    # All cards are held to the end; all maps and pictures would be much.
    plain = replace(entry, heat=None, picture=None, near=(), made=None)
    near, beside = write_near(new, name, entry.near, levels)
    card = _Card(plain, score, p_value, said(Path(entry.path.name)), said(entry.path), near=near)
    if entry.made is None:
        made, original = make_pictures(
            new, name, entry.path, entry.heat, scale, longest, levels, entry.picture
        )
    else:
        made, original = take_pictures(*entry.made, new, name), None
        if made.original and fits:
            original = read_original(new / made.original, longest)
    picture = None if original is None else small(original)
    card = replace(card, **vars(made))
    cell = Cell(picture, entry.rank, score, card.name, entry.flagged, beside)
    return card, cell if fits else replace(cell, picture=None, beside=())


def _foreign(folder: Path) -> str:
    """Return the name of something in a folder that no gallery left there; empty if all is ours."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    page = folder / PAGE
    if names and not (page.is_file() and MARK in page.read_text("utf-8", "replace")):
        return names[0]
    return next((name for name in names if not _OURS.fullmatch(name)), "")


def _file_name(entry: Entry, taken: set[str]) -> str:
    """Return a name without suffix that no entry has yet, on no file system, and note it."""
    stem = unicodedata.normalize("NFC", entry.path.stem)
    stem = re.sub(r"[^\w.-]+", "_", stem).strip("._")
    # Names may have 255 bytes, and a letter up to four.
    stem = stem.encode()[:120].decode(errors="ignore") or "image"
    first = name = f"{entry.rank:04d}_{entry.score:.4g}_{stem}"
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{first}-{number}"
    taken.add(name.casefold())
    return name


def _page(
    cards: list[_Card],
    scale: HeatScale | None,
    title: str,
    lead: str,
    facts: Mapping[str, str],
    has_table: bool,
    sheeted: int,
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anokit.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    painted = any(card.overlay for card in cards)
    return environment.get_template("ranked_gallery.html.j2").render(
        mark=MARK,
        title=title,
        lead=lead,
        facts=facts,
        table=TABLE if has_table else "",
        beside=any(card.near for card in cards),
        cards=cards,
        flagged=sum(card.entry.flagged for card in cards),
        scale=scale if painted else None,
        ramp=ramp(),
        at=_threshold_at(scale) if painted and scale is not None else None,
        sheet=SHEET,
        on_sheet=sheeted,
    )


def _threshold_at(scale: HeatScale) -> float | None:
    """Return where on the scale the threshold lies, in per cent; None where it lies beyond."""
    if not scale.low < scale.threshold < scale.high:
        return None
    return 100 * (scale.threshold - scale.low) / (scale.high - scale.low)
