"""What became of training images that were kept out of training: known contaminants are counted."""

from __future__ import annotations

from collections.abc import Iterator

from anokit.data.sets import Rows, TrainingSet
from anokit.results.rows import Judgement, Refined
from anokit.store.files import write_text
from anokit.store.score_table import csv_text
from anokit.training.job import Job
from anokit.training.refining import Refinement


def refined(job: Job, refinement: Refinement) -> Refined | None:
    """Return what stands in the results; None where all training images were shown alike."""
    settings = job.recipe.training.refine
    if settings is None:
        return None
    tainted = job.data.train.is_contaminant
    judgements = [
        Judgement(shown=shown, rejected=len(out), contaminants=int(tainted[out].sum()))
        for shown, out in _left_out(job.data.train, refinement)
    ]
    return Refined(
        strategy=settings.strategy,
        share=settings.share,
        score=(settings.score or job.recipe.primary.name) if settings.rejects else None,
        afresh=settings.afresh,
        judgements=judgements,
    )


def write_rejected(job: Job, refinement: Refinement) -> None:
    """Write rejected.csv: which training images every judgement left out."""
    names = job.data.train.names
    lines = [
        [str(number), str(shown), names[row]]
        for number, (shown, out) in enumerate(_left_out(job.data.train, refinement), start=1)
        for row in out
    ]
    write_text(job.directory.rejected, csv_text(["judgement", "images_shown", "image"], lines))


def _left_out(train: TrainingSet, refinement: Refinement) -> Iterator[tuple[int, Rows]]:
    """Yield of each judgement how many images had been shown, and which it left out.

    Of a photograph in tiles the first tile stands for it.
    """
    first = train.wholes.first
    for shown, kept in zip(refinement.shown, refinement.kept, strict=True):
        yield shown, first[~kept[first]]
