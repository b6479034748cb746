"""The table of results in the terminal."""

from collections.abc import Mapping

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


def results_table(results: Results) -> Table:
    """Return results.json as a table of at most 100 columns.

    The recipe's scores come first, baselines dim under a rule. A mark at the name tells what a
    score was selected by and how it depends on the batch. Published figures appear only beside a
    full run on real data.
    """
    rows = results.rows
    labelled = any(row.metrics for row in rows)
    published = results.prints_published
    table = Table(
        box=HORIZONTALS,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        caption_justify="left",
        # The caption is set to the table's width.
        min_width=None if labelled else 64,
    )
    table.add_column("score", overflow="fold", max_width=22)
    if labelled:
        for name in (*WITH_INTERVAL.values(), *PLAIN.values()):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    if published:
        table.add_column("published", justify="right", no_wrap=True)
    remarks = dict.fromkeys(remark for row in rows for remark in row.remarks)
    marks = {text: str(number).translate(RAISED) for number, text in enumerate(remarks, start=1)}
    for row in rows:
        if row.kind != "baseline":
            style = "bold" if row.name == results.primary else ""
            table.add_row(*_cells(row, marks, labelled, published), style=style)
    table.add_section()
    for row in rows:
        if row.kind == "baseline":
            table.add_row(*_cells(row, marks, labelled, published), style="dim")
    table.caption = _caption(results, marks, labelled)
    return table


def _cells(row: Row, marks: Mapping[str, str], labelled: bool, published: bool) -> list[Text]:
    cells = [Text(row.name + " ".join(marks[text] for text in row.remarks))]
    if labelled:
        cells += [_value(row.metric(key), interval=True) for key in WITH_INTERVAL]
        cells += [_value(row.metric(key), interval=False) for key in PLAIN]
    cells.append(_number(row.ms_per_image, ".3g"))
    if published:
        cells.append(_number(row.published, "g"))
    return cells


def _value(estimate: Estimate | None, *, interval: bool) -> Text:
    if estimate is None:
        return Text("–")
    text = Text(f"{estimate.value:.3f}")
    if interval:
        text.append(f" [{estimate.low:.3f}, {estimate.high:.3f}]", style="dim not bold")
    return text


def _number(value: float | None, style: str) -> Text:
    return Text("–" if value is None else f"{value:{style}}")


def _caption(results: Results, marks: Mapping[str, str], labelled: bool) -> Text:
    if not labelled:
        return Text("No metrics: they need labelled test images of both classes.")
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
    lines += [f"{mark} {text}" for text, mark in marks.items()]
    return Text("\n".join(lines))
