"""The sections of the report in reading order: what the reader came for comes first."""

from collections.abc import Callable

from anokit.report import (
    about_explanations,
    about_images,
    about_refinement,
    about_refit,
    about_run,
    about_scores,
    suspects,
)
from anokit.report.reading import Run
from anokit.report.section import Section

__all__ = ["sections"]

Order = tuple[Callable[[Run], Section | None], ...]

LABELLED: Order = (
    about_scores.results,
    about_explanations.explanations,
    about_run.choice,
    about_refit.before_and_after,
    about_scores.curves,
    about_scores.histograms,
    about_scores.kinds,
    about_images.matches,
    about_images.latents,
    about_scores.weights,
    suspects.suspects,
    about_images.samples,
    about_refinement.refinement,
    about_run.training,
    about_run.recipe,
    about_run.environment,
)
"""With labels a reader wants to know how good the scores are."""

UNLABELLED: Order = (
    suspects.suspects,
    suspects.threshold,
    about_refit.before_and_after,
    about_scores.scores,
    about_explanations.explanations,
    about_run.choice,
    about_scores.histograms,
    about_images.matches,
    about_images.latents,
    about_images.samples,
    about_refinement.refinement,
    about_run.training,
    about_run.recipe,
    about_run.environment,
    about_scores.results,
)
"""Without labels a reader wants to see which images stand out."""

TRIED: dict[bool, Order] = {
    True: (
        about_scores.results,
        about_scores.histograms,
        about_scores.kinds,
        about_images.matches,
    ),
    False: (
        suspects.suspects,
        suspects.threshold,
        about_scores.scores,
        about_scores.histograms,
        about_images.matches,
    ),
}
"""Of a score that was tried over a finished run, with labels and without: the rest is the run's."""


def sections(run: Run, *, tried: bool = False) -> list[Section]:
    """Return every section of a run's report that has something to show.

    What is left out, and why, stands in the last one; what a run gives no cause for, nowhere.
    Call it inside `anokit.report.style.drawing`. ``tried``: only what is about scores and images.
    """
    whole = LABELLED if run.labelled else UNLABELLED
    order = TRIED[run.labelled] if tried else whole
    made = [section for make in order if (section := make(run)) is not None]
    shown = [section for section in made if not section.skipped]
    left_out = [f"{section.title}. {section.skipped}" for section in made if section.skipped]
    return [*shown, Section("Left out", entries=left_out)] if left_out else shown
