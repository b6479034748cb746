"""A histogram in a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rich.text import Text

BINS = 60
"""Columns of text that a histogram has."""

BLOCKS, LETTERS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
"""Heights from nothing to the most; the second where only ASCII can be shown."""

STYLES = {"normal": "blue", "anomalous": "red"}


def histogram(
    groups: Mapping[str, npt.NDArray[np.float64]], threshold: float | None, *, plain: bool = False
) -> Text:
    """Return one line for each group of values ``[N]``, a line with the threshold, and the ends.

    Every group is scaled to its own fullest bin. As in the report, the outermost bins hold what
    lies beyond the central 99 %. ``plain``: only ASCII.
    """
    values = np.concatenate(list(groups.values()))
    low, high = (float(end) for end in np.quantile(values, [0.005, 0.995]))
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    width = max(map(len, groups))
    text = Text()
    for name, column in groups.items():
        counts, _ = np.histogram(np.clip(column, low, high), BINS, (low, high))
        text.append(f"{name:>{width}} │".replace("│", "|" if plain else "│"))
        text.append(_bars(counts.tolist(), LETTERS if plain else BLOCKS), STYLES.get(name, ""))
        text.append(f"{'|' if plain else '│'} {len(column):,}\n")
    if threshold is not None:
        place = min(BINS - 1, int(BINS * (threshold - low) / (high - low)))
        mark = f"{'^' if plain else '▲'} threshold {threshold:.4g}"
        # Right of its mark, unless it would run over the edge.
        room = place + len(mark) <= BINS
        line = (
            " " * place + mark if room else f"threshold {threshold:.4g} {mark[0]}".rjust(place + 1)
        )
        text.append(f"{'':{width}}  {line}\n")
    ends = f"{low:.4g}", f"{high:.4g}"
    text.append(f"{'':{width}}  {ends[0]}{ends[1].rjust(BINS - len(ends[0]))}", "dim")
    return text


def _bars(counts: Sequence[int], heights: str) -> str:
    """Return a letter for each count; one that is not 0 is always to be seen."""
    steps, most = len(heights) - 1, max(*counts, 1)
    return "".join(heights[-(-count * steps // most)] for count in counts)
