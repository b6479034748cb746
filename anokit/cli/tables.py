"""The table of results in the terminal."""

from collections.abc import Callable, Mapping

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

from anokit.results.metrics import Estimate
from anokit.results.rows import Results, Row

__all__ = ["results_table"]

WITH_INTERVAL = {"auroc": "AUROC", "ap": "AP"}
PLAIN = {"fpr95": "FPR95", "f1": "F1", "f1_max": "F1 max"}
"""Set without their intervals, which are in results.json and the report: a line has 100 columns."""


RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

NOTHING = Text("–")

Column = tuple[str, Callable[[Row], Text]]
"""A header, and what makes the cell of a row."""


def results_table(results: Results, flagged: Mapping[str, int] | None = None) -> Table:
    """Return results.json as a table of at most 100 columns; one that nothing fills is left out.

    The recipe's scores come first, baselines dim under a rule. A mark at the name tells what a
    score was selected by and how it depends on the batch. Published figures appear only beside a
    full run on real data.

    Parameters
    ----------
    results
        Without metrics the table has thresholds, and what is known of them.
    flagged
        How many training images each score flags, by its name.
    """
    rows = results.rows
    labelled = any(row.metrics for row in rows)
    table = Table(
        box=HORIZONTALS,
        padding=(0, 1 if labelled else 2, 0, 0),
        pad_edge=False,
        show_edge=False,
        caption_justify="left",
        # The caption is set to the table's width.
        min_width=None if labelled else 72,
    )
    remarks = dict.fromkeys(remark for row in rows for remark in row.remarks)
    marks = {text: str(number).translate(RAISED) for number, text in enumerate(remarks, start=1)}
    measured = _metrics() if labelled else _thresholds(flagged or {})
    columns = [
        column
        for column in [*measured, *_costs(results)]
        if any(column[1](row) != NOTHING for row in rows)
    ]
    table.add_column("score", overflow="fold", max_width=22)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)

    def add(row: Row, style: str) -> None:
        name = Text(row.name + " ".join(marks[text] for text in row.remarks))
        table.add_row(name, *(cell(row) for _, cell in columns), style=style)

    for row in rows:
        if row.kind != "baseline":
            add(row, "bold" if row.name == results.primary else "")
    table.add_section()
    for row in rows:
        if row.kind == "baseline":
            add(row, "dim")
    table.caption = _caption(results, marks, labelled)
    return table


def _metrics() -> list[Column]:
    return [
        *((name, _metric(key, interval=True)) for key, name in WITH_INTERVAL.items()),
        *((name, _metric(key, interval=False)) for key, name in PLAIN.items()),
    ]


def _thresholds(flagged: Mapping[str, int]) -> list[Column]:
    """Return what is known of a score without labels."""
    return [
        ("threshold", lambda row: _number(row.threshold, ".4g")),
        ("false alarms", lambda row: _share(row.false_alarms)),
        ("flagged", lambda row: _number(flagged.get(row.name), ",d")),
        ("fitted on", lambda row: _number(row.fitted_on, ",d")),
    ]


def _costs(results: Results) -> list[Column]:
    columns: list[Column] = [("ms", lambda row: _number(row.ms_per_image, ".3g"))]
    if results.prints_published:
        columns.append(("published", lambda row: _number(row.published, "g")))
    return columns


def _metric(key: str, *, interval: bool) -> Callable[[Row], Text]:
    return lambda row: _value(row.metric(key), interval=interval)


def _value(estimate: Estimate | None, *, interval: bool) -> Text:
    if estimate is None:
        return NOTHING
    text = Text(f"{estimate.value:.3f}")
    if interval:
        text.append(f" [{estimate.low:.3f}, {estimate.high:.3f}]", style="dim not bold")
    return text


def _number(value: float | None, style: str) -> Text:
    return NOTHING if value is None else Text(f"{value:{style}}")


def _share(value: float | None) -> Text:
    return NOTHING if value is None else Text(f"≤ {100 * value:.3g} %")


def _caption(results: Results, marks: Mapping[str, str], labelled: bool) -> Text:
    lines = _labelled(results) if labelled else _unlabelled(results)
    lines += _refined(results)
    return Text("\n".join([*lines, *(f"{mark} {text}" for text, mark in marks.items())]))


def _refined(results: Results) -> list[str]:
    """Return which training images were kept out of training in the end, if any were."""
    if not (results.refined and results.refined.judgements):
        return []
    last = results.refined.judgements[-1]
    by = f"by the score {results.refined.score}"
    text = f"Left out of training in the end, {by}: {last.rejected:,} images"
    if results.contaminants:
        text += f", among them {last.contaminants:,} of {results.contaminants:,} contaminants"
    return [f"{text}."]


def _unlabelled(results: Results) -> list[str]:
    lines = ["No metrics: they need labelled test images of both classes."]
    if any(row.threshold is not None for row in results.rows):
        lines.append("False alarms: as promised. Flagged: of the training images.")
    return lines


def _labelled(results: Results) -> list[str]:
    normal, anomalous = results.test_normal, results.test_anomalous
    tested = f"{normal:,} normal and {anomalous:,} anomalous test images"
    words = [
        f"Seed {results.seed}; {tested}.",
        "[95 % bootstrap intervals]. F1 max is selected by the labels. ms: per image.",
    ]
    if any(row.kind == "baseline" for row in results.rows):
        words.append("Under the rule: baselines on the same split.")
    lines = [" ".join(words)]
    if results.prints_published:
        lines.append(f"Published AUROC: {results.published_source}.")
    return [*lines, *_kept_promise(results)]


def _kept_promise(results: Results) -> list[str]:
    """Return what the primary score's threshold promises and what it does on the test images."""
    row = results.row(results.primary)
    alarms, finds = (None, None) if row is None else (row.metric("fpr"), row.metric("tpr"))
    if row is None or alarms is None or finds is None or row.false_alarms is None:
        return []
    promised = f"{row.name} promises at most {100 * row.false_alarms:.3g} % false alarms"
    found = f"measured {_percent(alarms)}. It finds {_percent(finds)} of the anomalies."
    return [f"At its threshold {promised}; {found}"]


def _percent(estimate: Estimate) -> str:
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f} % [{low:.1f}, {high:.1f}]"
