"""Sections on the run: choices and health, training curves, recipe, environment."""

import json

from anokit.report import figures, tables
from anokit.report.reading import Run
from anokit.report.section import Plot, Section

__all__ = ["choice", "environment", "recipe", "training"]


def choice(run: Run) -> Section:
    """Return how weights and threshold were chosen, and health warnings."""
    results = run.results
    entries = []
    if results.selection.epoch:
        entries.append(f"Weights: {results.selection.epoch}")
    # Without labels the threshold has a section of its own.
    if results.selection.threshold and run.labelled:
        entries.append(f"Threshold: {results.selection.threshold}")
    row = run.row(results.primary)
    if row is not None and row.threshold is not None and run.labelled:
        entries.append(
            f"An image counts as anomalous where {row.name} exceeds {row.threshold:.4g}."
        )
    calm = [] if results.told else ["No health warning was raised during this run."]
    return Section("Choices and health", entries=entries, text=calm, warnings=results.told)


def training(run: Run) -> Section:
    """Return training curves."""
    title = "Training curves"
    lost = [f"Lines of metrics.jsonl that cannot be read: {run.lost_lines}."]
    warnings = lost if run.lost_lines else []
    if len(run.log) < 2 or not any(entry.metrics for entry in run.log):
        skipped = "The model was not trained, or too briefly to draw a curve."
        return Section(title, skipped=skipped, warnings=warnings)
    phases = len({entry.phase for entry in run.log})
    caption = (
        f"What was logged, over the training images shown, in {phases} "
        f"{'phase' if phases == 1 else 'phases'} parted by hairlines. Look for curves that run "
        "away or jump and stay; jumps at a hairline are expected. Panels show the central 99 % of "
        "values."
    )
    figure = figures.training_curves(run.log)
    return Section(title, plots=[Plot("training_curves", figure, caption)], warnings=warnings)


def recipe(run: Run) -> Section:
    """Return the recipe as written and as resolved."""
    if run.recipe is None:
        return Section("Recipe", skipped="The run directory holds no recipe.toml.")
    listings = [("", run.recipe)]
    if run.resolved is not None:
        listings.append(
            ("With every default filled in", json.dumps(run.resolved, indent=2, ensure_ascii=False))
        )
    return Section("Recipe", listings=listings)


def environment(run: Run) -> Section:
    """Return where and with what the run was made."""
    if not run.environment:
        return Section("Environment", skipped="The run directory holds no environment.json.")
    return Section("Environment", tables=[tables.flattened(run.environment)])
