"""Which scores of a run are explained at its end, and how their copies are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from anokit.data.sets import ImageTable, TestSet
from anokit.data.statistics import EQUALISED
from anokit.recipe.parts import NamedScore
from anokit.results.assess import Assessment
from anokit.results.best_on_test import in_order
from anokit.results.explaining import Explainer, Rescore, Values, labelled
from anokit.results.explanations import Explanation
from anokit.results.metrics import Floats
from anokit.scoring.scorer import Scorer
from anokit.training.job import Job
from anokit.watching import Watcher, duration

READ = frozenset({"latent", "image_hat"})
"""What norms and residuals read of a round trip: a score of an encoding or a reconstruction."""

COPIES_SECONDS = 60.0
"""Time that making and scoring copies of the test images may take at the end of a run."""

EQUALISING_SECONDS = 2e-7
"""What making one statistic equal takes for each value of an image; measured on one core."""


def asks(scorer: Scorer, score: NamedScore) -> bool:
    """Return whether a score is one to be explained in every report: it says so by its needs."""
    return any(component.needs & READ for component in scorer.of(score))


def explain_run(job: Job, found: Assessment) -> list[Explanation]:
    """Explain those of a run's scores that are norms or residuals.

    Copies of the test images are scored only where that takes no longer than `COPIES_SECONDS`, as
    far as the times measured before tell, since a search in a latent space takes seconds an image.
    """
    recipe, test = job.recipe, labelled(job.data.test)
    chosen = [score for score in recipe.scores if asks(found.scorer, score)]
    if not chosen:
        return []
    rows = {row.name: row for row in found.rows}
    job.watcher.notice("explaining scores by contrast, gradient and brightness")
    explainer = Explainer(
        job.data,
        found.training.names,
        resamples=recipe.evaluation.resamples,
        seed=recipe.seed,
    )
    values = {
        score.name: Values(found.training.columns[score.name], found.columns.get(score.name))
        for score in chosen
    }
    if test is None:
        return explainer.explain(values)
    # All scores share one trip through the network, which is most of what each one takes.
    each = max(rows[score.name].ms_per_image or 0.0 for score in chosen) / 1000
    each += int(np.prod(test.images.parts[0].shape[1:])) * EQUALISING_SECONDS
    seconds = len(EQUALISED) * len(test) * each
    if seconds > COPIES_SECONDS:
        why = f"they would take about {duration(seconds)}, so they are left to anokit explain"
        return explainer.explain(values, no_copies=why)
    score_copies = rescorer(test, found.scorer, chosen, recipe.evaluation.order, job.watcher)
    explained = explainer.explain(values, score_copies)
    job.watcher.done()
    return explained


def rescorer(
    test: TestSet,
    scorer: Scorer,
    scores: Sequence[NamedScore],
    order: Literal["stored", "by-label"],
    watcher: Watcher,
) -> Rescore:
    """Return what scores copies of a test set as the test set itself was scored."""
    meant = {term.key for score in scores for term in score.terms}
    admitted = {id(scorer.components[key]) for key in meant}

    def rescore(copies: ImageTable) -> dict[str, Floats]:
        rows = in_order(test, order)
        advance = watcher.track("scoring copies of the test images", len(test))
        found = scorer.compute(
            copies, rows, only=lambda component: id(component) in admitted, advance=advance
        ).restored(rows)
        return {
            score.name: test.wholes.largest(scorer.combine(score, found.values)) for score in scores
        }

    return rescore
