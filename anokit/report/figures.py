"""Figures of scores: ROC and PR curves, histograms, AUROC over λ, training curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from anokit.report.colours import ACCENTS, ANOMALOUS, INK, MUTED, NORMAL
from anokit.report.reading import LogEntry
from anokit.report.style import NARROW, panels

__all__ = [
    "Sweep",
    "curves",
    "histograms",
    "lambda_curves",
    "training_curves",
    "training_scores",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DASHED = (0, (4, 3))

GROUPS = ((0, "normal", NORMAL), (1, "anomalous", ANOMALOUS), (-1, "unlabelled", MUTED))
"""Label, name and colour of the groups of test images."""


def curves(labels: Ints, scores: Mapping[str, Floats], baselines: Mapping[str, Floats]) -> Figure:
    """Draw ROC and precision-recall curves: recipe scores in colour, baselines thin and dashed."""
    figure, (roc, pr) = panels(2, 2, 3.7)
    styles: list[tuple[str, Floats, dict[str, Any]]] = [
        (name, values, {"color": ACCENTS[i % len(ACCENTS)], "linewidth": 1.6})
        for i, (name, values) in enumerate(scores.items())
    ]
    styles += [
        (name, values, {"color": MUTED, "linewidth": 1.0, "linestyle": dash})
        for (name, values), dash in zip(
            baselines.items(), ("--", ":", "-.", (0, (1, 3)), (0, (5, 4))) * 20, strict=False
        )
    ]
    for _, values, style in reversed(styles):
        fpr, tpr, _ = roc_curve(labels, values)
        precision, recall, _ = precision_recall_curve(labels, values)
        roc.plot(fpr, tpr, **style)
        pr.plot(recall, precision, drawstyle="steps-post", **style)
    roc.plot([0, 1], [0, 1], color=MUTED, linewidth=0.6)
    pr.axhline(np.mean(labels == 1), color=MUTED, linewidth=0.6)
    roc.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    pr.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    for axes in (roc, pr):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    handles = [roc.plot([], [], label=name, **style)[0] for name, _, style in styles]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    return figure


def histograms(
    labels: Ints, scores: Mapping[str, Floats], thresholds: Mapping[str, float | None]
) -> Figure:
    """Draw one histogram per score by group of images, each group's area 1, threshold dashed.

    The outermost bins hold what lies beyond the central 99 %, so that one outlier does not squeeze
    the rest into a line.
    """
    figure, axes = panels(len(scores), 2, 2.1)
    for panel, (name, values) in zip(axes, scores.items(), strict=True):
        threshold = thresholds.get(name)
        low, high = np.quantile(values, [0.005, 0.995])
        if threshold is not None:
            low, high = min(low, threshold), max(high, threshold)
        overlaid(
            panel,
            [(label, values[labels == key], colour) for key, label, colour in GROUPS],
            float(low),
            float(high),
        )
        if threshold is not None:
            panel.axvline(threshold, color=INK, linewidth=0.9, linestyle=DASHED)
        panel.set(title=name, yticks=[])
    axes[0].legend(loc="best")
    return figure


def overlaid(
    axes: Axes,
    groups: Sequence[tuple[str, Floats, str]],
    low: float,
    high: float,
    bins: int = 40,
) -> float:
    """Draw histograms over each other and return the width of a bin.

    Values beyond ``low`` and ``high`` go to the end bins. Few values get fewer bins than ``bins``.
    """
    most = max((len(values) for _, values, _ in groups), default=0)
    bins = min(bins, max(10, int(2.5 * np.sqrt(most))))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    for name, values, colour in groups:
        if len(values) == 0:
            continue
        density = np.histogram(np.clip(values, low, high), edges)[0] / len(values)
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.28, linewidth=0)
        axes.stairs(density, edges, color=colour, linewidth=1.1, label=name)
    axes.set(ylim=(0, None))
    axes.grid(visible=False)
    return (high - low) / bins


def training_scores(scores: Floats, flagged: npt.NDArray[np.bool_], threshold: float) -> Figure:
    """Draw how many of ``scores`` ``[N]`` lie where, the ``flagged`` ones in another colour.

    A dashed line is the threshold.

    The end bins hold what lies beyond the lowest 0.5 %, or further above the threshold than four
    times its distance from the median.
    """
    figure, (axes,) = panels(1, 1, 2.2, NARROW)
    median = float(np.median(scores))
    low = min(float(np.quantile(scores, 0.005)), threshold)
    high = max(min(float(scores.max()), threshold + 4 * max(threshold - median, 0.0)), threshold)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, min(60, max(12, int(3 * np.sqrt(len(scores))))) + 1)
    for name, chosen, colour in (
        ("not flagged", ~flagged, NORMAL),
        ("flagged", flagged, ANOMALOUS),
    ):
        if chosen.any():
            counts = np.histogram(np.clip(scores[chosen], low, high), edges)[0]
            label = f"{name}: {int(chosen.sum()):,}"
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.45, linewidth=0)
            axes.stairs(counts, edges, color=colour, linewidth=1.1, label=label)
    axes.axvline(threshold, color=INK, linewidth=0.9, linestyle=DASHED)
    axes.set(ylabel="training images", ylim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="best")
    return figure


@dataclass(frozen=True)
class Sweep:
    """AUROC of λ·a + (1 − λ)·b over λ, with the names of a and b."""

    lambdas: Floats
    """``[L]`` in [0, 1]"""
    auroc: Floats
    """``[L]``"""
    recipe: float
    """the λ that the recipe uses"""
    a: str
    b: str


def lambda_curves(sweeps: Mapping[str, Sweep]) -> Figure:
    """Draw AUROC over λ, one panel per two-term score."""
    figure, axes = panels(len(sweeps), 2, 2.4)
    for panel, (name, sweep) in zip(axes, sweeps.items(), strict=True):
        best = int(np.argmax(sweep.auroc))
        panel.axhline(0.5, color=MUTED, linewidth=0.6)
        panel.plot(sweep.lambdas, sweep.auroc, color=ANOMALOUS)
        panel.axvline(sweep.recipe, color=INK, linewidth=0.9, linestyle=DASHED, label="recipe's λ")
        panel.plot(
            sweep.lambdas[best],
            sweep.auroc[best],
            linestyle="none",
            marker="o",
            markersize=5,
            markerfacecolor="none",
            markeredgecolor=INK,
            label="largest (label-selected)",
        )
        panel.set(title=name, ylabel="AUROC", xlim=(-0.02, 1.02))
        panel.set_xlabel(f"λ (0: {sweep.b} alone, 1: {sweep.a} alone)")
    axes[0].legend(loc="best")
    return figure


def training_curves(log: Sequence[LogEntry], limit: int = 1500) -> Figure:
    """Draw every logged metric over the images shown, one panel each; hairlines part the phases.

    At most ``limit`` evenly spaced entries are drawn. A panel shows the central 99 % of its values.
    """
    names = list(dict.fromkeys(name for entry in log for name in entry.metrics))
    starts = [b.images for a, b in pairwise(log) if a.phase != b.phase]
    log = [log[i] for i in np.unique(np.linspace(0, len(log) - 1, limit).astype(int))]
    series = {name: [(e.images, e.metrics.get(name)) for e in log] for name in names}
    if any(entry.images_per_second for entry in log):
        series["images per second"] = [(e.images, e.images_per_second) for e in log]
    figure, axes = panels(len(series), 3, 1.55)
    for panel, (name, points) in zip(axes, series.items(), strict=True):
        known = np.array([(x, y) for x, y in points if y is not None and np.isfinite(y)], float)
        for start in starts:
            panel.axvline(start, color=MUTED, linewidth=0.4, alpha=0.6)
        panel.grid(visible=False, axis="x")
        panel.set_title(name, fontsize=8)
        panel.xaxis.set_major_formatter(lambda value, _: short_count(value))
        panel.locator_params(axis="both", nbins=4)
        if len(known) == 0:
            continue
        panel.plot(known[:, 0], known[:, 1], color=NORMAL, linewidth=1.0)
        low, high = np.quantile(known[:, 1], [0.005, 0.995])
        if high > low:
            margin = 0.08 * (high - low)
            panel.set_ylim(low - margin, high + margin)
    return figure


def short_count(value: float) -> str:
    """Return a count of images as an axis shows it: ``800``, ``120k``, ``1.5M``."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"
