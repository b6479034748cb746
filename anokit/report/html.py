"""Writes report.html and figures/."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from anokit.report import findings, style, thumbnails
from anokit.report.reading import Results, Run, read_run
from anokit.report.section import Section
from anokit.report.sections import sections
from anokit.store.files import make_folder, replacing, write_text

__all__ = ["write_report"]

ALONE = "This page needs no other file; the figures also lie in figures/ as PNG."


def write_report(run_dir: Path, results: Results | None = None) -> Path:
    """Write report.html and ``figures/*.png`` into a run directory and return the page's path.

    The page is one file: it needs no network, no other file and no script. What the run lacks is
    left out, and the last section says why; only results.json must be there. A run without metrics
    begins with its most anomalous training images, any other with its metrics.

    Parameters
    ----------
    results
        What results.json is going to be, of a run that is about to be finished.

    Raises
    ------
    CheckpointError
        Where results.json is missing or a file of the run cannot be understood.
    """
    run = read_run(run_dir, results)
    folder = run_dir / "figures"
    make_folder(folder)
    with style.drawing():
        made = sections(run)
        for plot in (plot for section in made for plot in section.plots):
            with replacing(folder / f"{plot.name}.png") as new:
                new.write_bytes(style.png(plot.figure))
        drawn = drawn_in(made)
    page = render(run.results.title, facts_of(run), findings.banners(run), made, drawn)
    target = run_dir / "report.html"
    write_text(target, page)
    return target


def drawn_in(made: Sequence[Section]) -> dict[str, Markup]:
    """Return the SVG of every plot in sections, by its name."""
    # What matplotlib writes has escaped every label already.
    return {
        plot.name: Markup(style.svg(plot.figure, plot.name))
        for section in made
        for plot in section.plots
    }


def render(
    title: str,
    facts: Mapping[str, Any],
    banners: Sequence[findings.Banner],
    made: Sequence[Section],
    drawn: Mapping[str, Markup],
    footer: str = ALONE,
) -> str:
    """Return a page of sections; ``drawn`` holds the SVG of every plot in them, by its name."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anokit.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("template.html.j2").render(
        title=title,
        facts=facts,
        banners=banners,
        sections=made,
        drawn=drawn,
        footer=footer,
        sortable=any(table.sortable for section in made for table in section.tables),
        data_uri=thumbnails.data_uri,
    )


def facts_of(run: Run) -> dict[str, Any]:
    """Return the few facts under the title, in reading order; what is unknown is left out."""
    results = run.results
    training = None if results.train_images is None else f"{results.train_images:,} images"
    if training and results.contaminants:
        training += (
            f", {results.contaminants:,} of them known contaminants "
            f"(γ\u00a0=\u00a0{100 * results.contamination:g}\u00a0%)"
        )
    tested = f"{results.test_normal:,} normal, {results.test_anomalous:,} anomalous images"
    if not results.test_normal + results.test_anomalous:
        tested = "none" if run.scores is None else f"{len(run.scores.ids):,} images, no labels"
    facts = {
        "Recipe": results.recipe,
        "Protocol": results.protocol,
        "Training set": training,
        "Test set": tested,
        "Primary score": results.primary,
        "Seed": results.seed,
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}
