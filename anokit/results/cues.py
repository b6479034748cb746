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
from anokit.watching import Watcher

READ = frozenset({"latent", "image_hat"})
"""What norms and residuals read of a round trip: a score of an encoding or a reconstruction."""

COPIES_VALUES = 200_000_000
"""Values that the copies of the test images may have at the end of a run: a minute, on one core."""


def asks(scorer: Scorer, score: NamedScore) -> bool:
    """Return whether a score is one to be explained in every report: it says so by its needs."""
    return any(component.needs & READ for component in scorer.of(score))


def explain_run(job: Job, found: Assessment) -> list[Explanation]:
    """Explain those of a run's scores that are norms or residuals.

    Copies of the test images are scored only where they have no more than `COPIES_VALUES` and the
    network does not search, which takes seconds an image: by counts, not by the clock, so that
    every machine finds the same.
    """
    recipe, test = job.recipe, labelled(job.data.test)
    chosen = [score for score in recipe.scores if asks(found.scorer, score)]
    if not chosen:
        return []
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
    if why := _too_long(job, test):
        return explainer.explain(values, no_copies=f"{why}, so they are left to anokit explain")
    score_copies = rescorer(test, found.scorer, chosen, recipe.evaluation.order, job.watcher)
    explained = explainer.explain(values, score_copies)
    job.watcher.done()
    return explained


def _too_long(job: Job, test: TestSet) -> str:
    """Return why copies of a test set would take too long for the end of a run, if they would."""
    if job.backbone.searches:
        return "the network searches for each image"
    count = len(EQUALISED) * len(test) * int(np.prod(test.images.parts[0].shape[1:]))
    if count > COPIES_VALUES:
        return f"they would have {count:,} values, more than {COPIES_VALUES:,}"
    return ""


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
