"""The table of results in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

__all__ = ["results_table"]

WITH_INTERVAL = {"auroc": "AUROC", "ap": "AP"}
PLAIN = {"fpr95": "FPR95", "f1": "F1", "f1_max": "F1 max"}
"""Set without their intervals, which are in results.json and the report: a line has 100 columns."""


RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def results_table(results: Mapping[str, Any]) -> Table:
    """Return results.json as a table of at most 100 columns.

    The recipe's scores come first, baselines dim under a rule. A mark at the name tells what a
    score was selected by and how it depends on the batch. Published figures appear only beside a
    full run on real data.
    """
    rows = results["rows"]
    labelled = any(row.get("metrics") for row in rows)
    published = _prints_published(results)
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
    remarks = dict.fromkeys(remark for row in rows for remark in _remarks(row))
    marks = {text: str(number).translate(RAISED) for number, text in enumerate(remarks, start=1)}
    for row in rows:
        if row.get("kind") != "baseline":
            style = "bold" if row["name"] == results.get("primary") else ""
            table.add_row(*_cells(row, marks, labelled, published), style=style)
    table.add_section()
    for row in rows:
        if row.get("kind") == "baseline":
            table.add_row(*_cells(row, marks, labelled, published), style="dim")
    table.caption = _caption(results, marks, labelled, published)
    return table


def _remarks(row: Mapping[str, Any]) -> list[str]:
    """Return what every line must say: what selected it, its batch, when it was added."""
    keys = ("selection", "batch", "added")
    return [text for key in keys if (text := row.get(key)) and text != "none"]


def _cells(
    row: Mapping[str, Any], marks: Mapping[str, str], labelled: bool, published: bool
) -> list[Text]:
    cells = [Text(row["name"] + " ".join(marks[text] for text in _remarks(row)))]
    if labelled:
        metrics = row.get("metrics") or {}
        cells += [_value(metrics.get(key), interval=True) for key in WITH_INTERVAL]
        cells += [_value(metrics.get(key), interval=False) for key in PLAIN]
    cells.append(_number(row.get("ms_per_image"), ".3g"))
    if published:
        cells.append(_number(row.get("published"), "g"))
    return cells


def _value(estimate: Mapping[str, float] | None, *, interval: bool) -> Text:
    if estimate is None:
        return Text("–")
    text = Text(f"{estimate['value']:.3f}")
    if interval:
        text.append(f" [{estimate['low']:.3f}, {estimate['high']:.3f}]", style="dim not bold")
    return text


def _number(value: float | None, style: str) -> Text:
    return Text("–" if value is None else f"{value:{style}}")


def _prints_published(results: Mapping[str, Any]) -> bool:
    return (
        results.get("data", "real") == "real"
        and not results.get("quick")
        and bool(results.get("published_source"))
        and any(row.get("published") is not None for row in results["rows"])
    )


def _caption(
    results: Mapping[str, Any], marks: Mapping[str, str], labelled: bool, published: bool
) -> Text:
    if not labelled:
        return Text("No metrics: they need labelled test images of both classes.")
    normal, anomalous = results.get("test_normal", 0), results.get("test_anomalous", 0)
    words = [
        f"Seed {results.get('seed')}; {normal:,} normal and {anomalous:,} anomalous test images.",
        "[95 % bootstrap intervals]. F1 max is selected by the labels. ms: per image.",
    ]
    if any(row.get("kind") == "baseline" for row in results["rows"]):
        words.append("Under the rule: baselines on the same split.")
    lines = [" ".join(words)]
    if published:
        lines.append(f"Published AUROC: {results['published_source']}.")
    lines += [f"{mark} {text}" for text, mark in marks.items()]
    return Text("\n".join(lines))
