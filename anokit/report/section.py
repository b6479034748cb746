"""What a section of the report is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from anokit.report.tables import Table

__all__ = ["Card", "Link", "Picture", "Plot", "Section"]


@dataclass(frozen=True)
class Plot:
    """A figure, the stem of its file, and a caption that says what to look at."""

    name: str
    figure: Figure
    caption: str
    narrow: bool = False
    """whether the figure is `anokit.report.style.NARROW`, so that it never needs to be scrolled"""


@dataclass(frozen=True)
class Picture:
    """A PNG that stood in the run directory."""

    title: str
    name: str
    png: bytes


@dataclass(frozen=True)
class Card:
    """One image with what is known of it."""

    rank: int
    source: str
    """the picture as a ``data:`` address"""
    width: int
    height: int
    name: str
    """empty where it is unknown"""
    facts: Sequence[str] = ()
    marks: Sequence[str] = ()
    """what sets the image apart, such as ``flagged``"""


@dataclass(frozen=True)
class Link:
    """A file beside the report, by an address relative to it."""

    text: str
    address: str


@dataclass(frozen=True)
class Section:
    """A heading and what is under it. ``skipped`` says why there is nothing."""

    title: str
    text: Sequence[str] = ()
    entries: Sequence[str] = ()
    """set as a list, before the text"""
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    cards: Sequence[Card] = ()
    links: Sequence[Link] = ()
    """set under the text; a page that was moved alone has them in vain"""
    plots: Sequence[Plot] = ()
    pictures: Sequence[Picture] = ()
    listings: Sequence[tuple[str, str]] = ()
    """(title, text) set as typed"""
    notes: Sequence[str] = ()
    """what stands under the tables"""
    skipped: str = ""
    anchor: str = field(init=False)

    def __post_init__(self) -> None:
        anchor = "".join(c if c.isalnum() else "-" for c in self.title.lower())
        object.__setattr__(self, "anchor", anchor)
