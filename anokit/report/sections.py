"""The sections of the report in reading order."""

from collections.abc import Callable

from anokit.report import about_images, about_refit, about_run, about_scores
from anokit.report.reading import Run
from anokit.report.section import Section

__all__ = ["sections"]

ORDER: tuple[Callable[[Run], Section | None], ...] = (
    about_scores.results,
    about_run.choice,
    about_refit.before_and_after,
    about_scores.curves,
    about_scores.histograms,
    about_scores.kinds,
    about_images.matches,
    about_images.latents,
    about_scores.weights,
    about_images.training_set,
    about_images.samples,
    about_run.training,
    about_run.recipe,
    about_run.environment,
)


def sections(run: Run) -> list[Section]:
    """Return every section of a run's report. Call it inside `anokit.report.style.drawing`."""
    return [section for make in ORDER if (section := make(run)) is not None]
