"""What became of training images that were kept out of training: known contaminants are counted."""

from __future__ import annotations

import numpy as np

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
    wholes, tainted = job.data.train.wholes, job.data.train.is_contaminant
    judgements = []
    for shown, kept in zip(refinement.shown, refinement.kept, strict=True):
        out = wholes.first[~kept[wholes.first]]
        judgements.append(
            Judgement(shown=shown, rejected=len(out), contaminants=int(tainted[out].sum()))
        )
    return Refined(
        strategy=settings.strategy,
        share=settings.share,
        score=(settings.score or job.recipe.primary.name) if settings.rejects else None,
        afresh=settings.afresh,
        judgements=judgements,
    )


def write_rejected(job: Job, refinement: Refinement) -> None:
    """Write rejected.csv: which training images every judgement left out."""
    train = job.data.train
    wholes, names = train.wholes, train.names
    lines = []
    for number, (shown, kept) in enumerate(
        zip(refinement.shown, refinement.kept, strict=True), start=1
    ):
        out = np.flatnonzero(~kept[wholes.first])
        lines += [[str(number), str(shown), names[wholes.first[place]]] for place in out]
    write_text(job.directory.rejected, csv_text(["judgement", "images_shown", "image"], lines))
