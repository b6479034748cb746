"""Tables of the report as plain values; the template gives them their look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anokit.results.metrics import Estimate
from anokit.results.rows import Results, Row

__all__ = ["Cell", "Line", "Table", "by_kind", "flattened", "metrics", "pixels"]

METRICS = {
    "auroc": "AUROC",
    "ap": "AP",
    "fpr95": "FPR at 95 % TPR",
    "f1": "F1",
    "f1_max": "F1 max, label-selected",
}
"""Image-level metrics in reading order, with the names that a reader sees."""


@dataclass(frozen=True)
class Cell:
    """A value and what stands small beneath it."""

    text: str
    small: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table: its cells, and how it is set (``""``, ``"primary"`` or ``"baseline"``)."""

    cells: Sequence[Cell]
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A header, lines and a caption."""

    header: Sequence[str]
    lines: Sequence[Line]
    caption: str = ""
    numeric: bool = True
    """whether all columns but the first are numbers, set to the right"""


def metrics(results: Results) -> Table:
    """Return scores × metrics: the recipe's scores first, baselines under them."""
    published = results.prints_published
    header = ["Score", *METRICS.values(), "ms per image"]
    if published:
        header.append("Published AUROC")
    lines = []
    for row in sorted(results.rows, key=lambda row: row.kind == "baseline"):
        cells = [Cell(row.name, _tags(row)), *(estimate(row.metric(key)) for key in METRICS)]
        cells.append(number(row.ms_per_image, ".3g"))
        if published:
            cells.append(number(row.published, "g"))
        style = "primary" if row.name == results.primary else row.kind
        lines.append(Line(cells, style))
    caption = (
        "Beneath each value its 95 % interval from a stratified bootstrap of the test images; it "
        "holds for this one trained model and says nothing of other seeds. F1 is taken at the "
        "threshold chosen without labels, F1 max at the best one, which only labels can tell. "
        f"Seed {results.seed}. Selected by test labels: nothing, where the line does not say."
    )
    if published:
        caption += f" Published figures: {results.published_source}."
    return Table(header, lines, caption)


def pixels(rows: Sequence[Row]) -> Table:
    """Return the pixel-level metrics of the scores that have a map."""
    lines = [
        Line([Cell(row.name), *(estimate(row.pixel.get(key)) for key in ("auroc", "aupro"))])
        for row in rows
        if row.pixel
    ]
    return Table(
        ["Score", "Pixel AUROC", "AUPRO up to FPR 0.3"],
        lines,
        "How well the maps outline the anomalies. AUPRO gives every region equal weight; chance is "
        "0.15. Intervals come from resampling images.",
    )


def by_kind(rows: Sequence[Row], kinds: Sequence[str]) -> Table:
    """Return AUROC of each kind of anomaly, one column per score."""
    lines = [
        Line([Cell(kind), *(number((row.by_kind or {}).get(kind), ".3f") for row in rows)])
        for kind in kinds
    ]
    return Table(
        ["Kind", *(row.name for row in rows)],
        lines,
        "AUROC of each kind of anomalous image against all normal ones. Look for a kind near or "
        "below 0.5: that one is missed.",
    )


def flattened(values: Mapping[str, Any]) -> Table:
    """Return a nested dictionary as two columns, its keys joined by dots."""
    lines = [Line([Cell(key), Cell(text)]) for key, text in _leaves(values)]
    return Table(["", ""], lines, numeric=False)


def estimate(value: Estimate | None) -> Cell:
    """Return a value with its interval beneath, or a dash."""
    if value is None:
        return Cell("–")
    return Cell(f"{value.value:.3f}", f"{value.low:.3f} – {value.high:.3f}")


def number(value: float | None, style: str) -> Cell:
    """Return a formatted number, or a dash."""
    return Cell("–" if value is None else f"{value:{style}}")


def _tags(row: Row) -> str:
    tags = [row.selection] if row.selection != "none" else []
    return " · ".join([*tags, *(text for text in (row.batch, row.added) if text)])


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            found.append((f"{prefix}{key}", ", ".join(str(item) for item in value)))
        else:
            found.append((f"{prefix}{key}", str(value)))
    return found
