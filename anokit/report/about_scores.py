"""Sections on the scores: results, curves, histograms, kinds, weights of terms."""

import numpy as np
import numpy.typing as npt

from anokit.report import figures, findings, tables
from anokit.report.reading import Run
from anokit.report.section import Plot, Section

__all__ = ["curves", "histograms", "kinds", "results", "scores", "weights"]

Floats = npt.NDArray[np.float64]

NO_METRICS = "Metrics need a test set with labelled normal and anomalous images."


def own_scores(run: Run, kind: str = "score") -> dict[str, Floats]:
    """Return the columns of scores.csv that belong to rows of ``kind`` and are finite."""
    if run.scores is None:
        return {}
    return {
        row.name: run.scores.columns[row.name]
        for row in run.results.rows
        if row.kind == kind
        and row.name in run.scores.columns
        and np.isfinite(run.scores.columns[row.name]).all()
        and len(run.scores.ids) > 0
    }


def results(run: Run) -> Section:
    """Return scores and baselines with their intervals, and what must be said of them."""
    results = run.results
    if not run.labelled:
        return Section("Results", skipped=NO_METRICS)
    found = [
        tables.metrics(results),
        tables.promises(results),
        tables.pixels(results.rows) if any(row.pixel for row in results.rows) else None,
    ]
    made = [table for table in found if table is not None]
    return Section("Results", tables=made, notes=_notes(run))


def scores(run: Run) -> Section:
    """Return scores and baselines that have no metrics: their thresholds and what they cost."""
    if not run.results.rows:
        return Section("Scores", skipped="The run has no scores.")
    flagged = {} if run.ranking is None else run.ranking.flagged()
    return Section("Scores", tables=[tables.scores(run.results, flagged)], notes=_notes(run))


def _notes(run: Run) -> list[str]:
    return [f"{row.name}: {row.note}" for row in run.results.rows if row.note]


def curves(run: Run) -> Section:
    """Return ROC and precision-recall curves."""
    title = "ROC, precision and recall"
    scores = own_scores(run)
    if run.scores is None or not run.scores.two_classes or not scores:
        return Section(title, skipped="Curves need labelled test images of both classes.")
    labels, known = run.scores.labels, run.scores.labels >= 0
    figure = figures.curves(
        labels[known],
        {name: values[known] for name, values in scores.items()},
        {name: values[known] for name, values in own_scores(run, "baseline").items()},
    )
    caption = (
        "Left: how many anomalous images are caught for how many false alarms; the diagonal is a "
        "coin. Right: the share of alarms that are right, over the share of anomalies caught; the "
        "horizontal line is the share of anomalous images. Look at the left edge of both: in use, "
        "few false alarms are what matters. Grey, broken: baselines."
    )
    return Section(title, plots=[Plot("curves", figure, caption)])


def histograms(run: Run) -> Section:
    """Return the spread of every score."""
    title = "How the scores spread"
    scores = own_scores(run)
    if run.scores is None or not scores:
        return Section(title, skipped="No test image was scored.")
    thresholds = {row.name: row.threshold for row in run.results.rows}
    figure = figures.histograms(run.scores.labels, scores, thresholds)
    caption = (
        "Each score over the test images, every group scaled to the same area; dashed, the "
        "threshold that was chosen without labels. Look at how much of the anomalous group lies "
        "right of the normal one, and at where the threshold falls. The end bins hold all that "
        "lies beyond them."
    )
    return Section(title, plots=[Plot("histograms", figure, caption)])


def kinds(run: Run) -> Section:
    """Return AUROC by kind of anomaly."""
    rows = [row for row in run.results.rows if row.by_kind]
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.by_kind or {}))
    if len(kinds) < 2:
        return Section(
            "Kinds of anomaly",
            skipped="The anomalous test images are not told apart by kind, or are all of one.",
        )
    return Section("Kinds of anomaly", tables=[tables.by_kind(rows, kinds)])


def weights(run: Run) -> Section:
    """Return AUROC over λ of two-term sums, marked as selected by labels."""
    title = "Weight of the terms"
    if run.scores is None or not run.scores.two_classes:
        return Section(title, skipped="AUROC over λ needs labelled test images of both classes.")
    found = findings.sweeps(run)
    if not found:
        return Section(title, skipped="No score of this recipe is a weighted sum of two terms.")
    caption = (
        "AUROC of λ·a + (1 − λ)·b. Look at how flat the curve is: on a flat one the weight does "
        "not matter. The largest value is selected by the test labels and is no result."
    )
    return Section(
        title,
        text=[findings.shares(run, name) for name in found],
        plots=[Plot("auroc_over_lambda", figures.lambda_curves(found), caption)],
    )
