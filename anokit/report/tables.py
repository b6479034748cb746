"""Tables of the report as plain values; the template gives them their look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anokit.results.metrics import Estimate
from anokit.results.rows import Results, Row

__all__ = [
    "Cell",
    "Line",
    "Table",
    "by_kind",
    "flattened",
    "metrics",
    "pixels",
    "promises",
    "scores",
]

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
    address: str = ""
    """of a page that the text leads to, relative to this one"""
    key: float | None = None
    """what a sortable table sorts the value by; by its text where it is None"""


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
    sortable: bool = False
    """whether a reader may sort it by its columns and filter its lines"""


def metrics(results: Results) -> Table:
    """Return scores × metrics: the recipe's scores first, baselines under them."""
    published = results.prints_published
    header = ["Score", *METRICS.values(), "ms per image"]
    if published:
        header.append("Published AUROC")
    lines = []
    for row in _in_order(results.rows):
        cells = [Cell(row.name, _tags(row)), *(estimate(row.metric(key)) for key in METRICS)]
        cells.append(number(row.ms_per_image, ".3g"))
        if published:
            cells.append(number(row.published, "g"))
        lines.append(Line(cells, _style(results, row)))
    caption = (
        "Beneath each value its 95 % interval from a stratified bootstrap of the test images; it "
        "holds for this one trained model and says nothing of other seeds. F1 is taken at the "
        "threshold chosen without labels, F1 max at the best one, which only labels can tell. "
        f"Seed {results.seed}. Selected by test labels: nothing, where the line does not say."
    )
    if published:
        caption += f" Published figures: {results.published_source}."
    return _filled(Table(header, lines, caption))


def promises(results: Results) -> Table | None:
    """Return what the thresholds promise beside what the labels say; None where nothing does."""
    lines = [
        Line(
            [
                Cell(row.name),
                percent(row.false_alarms),
                shares(row.metric("fpr")),
                shares(row.metric("tpr")),
                number(row.threshold, ".4g"),
            ],
            _style(results, row),
        )
        for row in _in_order(results.rows)
        if row.metric("fpr") or row.metric("tpr")
    ]
    if not lines:
        return None
    header = [
        "Score",
        "False alarms promised",
        "False alarms measured",
        "Anomalies found",
        "Threshold",
    ]
    caption = (
        "What each threshold, chosen without labels, does on the test images: which share of the "
        "normal ones it flags (promised: at most), and which of the anomalous ones. Beneath each "
        "share its exact binomial 95 % interval. Normal test images that differ from the training "
        "images raise more false alarms than promised; anomalies among the training images fewer."
    )
    return _filled(Table(header, lines, caption))


def scores(results: Results, flagged: Mapping[str, int]) -> Table:
    """Return what is known of scores without metrics: thresholds, and what they cost.

    ``flagged`` counts the training images that each score flags, by its name.
    """
    header = [
        "Score",
        "Threshold",
        "False alarms promised",
        "Training images flagged",
        "Fitted on",
        "ms per image",
    ]
    lines = [
        Line(
            [
                Cell(row.name, _tags(row)),
                number(row.threshold, ".4g"),
                percent(row.false_alarms),
                number(flagged.get(row.name), ",d"),
                number(row.fitted_on, ",d"),
                number(row.ms_per_image, ".3g"),
            ],
            _style(results, row),
        )
        for row in _in_order(results.rows)
    ]
    return _filled(
        Table(
            header,
            lines,
            "A new image is flagged where its score exceeds the threshold, which was chosen "
            f"without labels and promises so many false alarms at most. Seed {results.seed}.",
        )
    )


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


def shares(value: Estimate | None) -> Cell:
    """Return a share with its interval beneath, both in per cent, or a dash."""
    if value is None:
        return Cell("–")
    low, high = 100 * value.low, 100 * value.high
    return Cell(f"{100 * value.value:.1f} %", f"{low:.1f} – {high:.1f} %")


def percent(value: float | None) -> Cell:
    """Return a rate in per cent, or a dash."""
    return Cell("–" if value is None else f"{100 * value:.3g} %")


def number(value: float | None, style: str) -> Cell:
    """Return a formatted number, or a dash."""
    return Cell("–" if value is None else f"{value:{style}}")


def _in_order(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the recipe's scores first, baselines under them."""
    return sorted(rows, key=lambda row: row.kind == "baseline")


def _style(results: Results, row: Row) -> str:
    return "primary" if row.name == results.primary else row.kind


def _filled(table: Table) -> Table:
    """Return a table without the columns that have dashes alone."""
    kept = [
        at
        for at in range(len(table.header))
        if at == 0 or any(line.cells[at].text != "–" for line in table.lines)
    ]
    lines = [Line([line.cells[at] for at in kept], line.style) for line in table.lines]
    return replace(table, header=[table.header[at] for at in kept], lines=lines)


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
