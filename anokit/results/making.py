"""results.json and scores.csv of a run, from what scoring it gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anokit.data.sets import TestSet
from anokit.results.assess import Assessment
from anokit.results.best_on_test import LAST
from anokit.results.rows import SIMULATED, Choice, Copies, Results
from anokit.scoring.scorer import Values
from anokit.store.score_table import ScoreTable
from anokit.training.job import Job
from anokit.version import __version__


def make_results(
    job: Job, found: Assessment, warnings: Sequence[str], epoch: str = LAST
) -> Results:
    """Return the content of results.json; ``epoch`` says how the weights were chosen."""
    recipe, data = job.recipe, job.data
    whole = not (recipe.quick or data.simulated or recipe.training.max_steps)
    labels = None
    if data.test and data.test.labels is not None:
        labels = data.test.labels[data.test.wholes.first]
    notices = [*recipe.notices, *data.notices]
    if data.simulated:
        notices.insert(0, SIMULATED)
    if recipe.training.max_steps:
        notices.append(
            f"every phase stopped after {recipe.training.max_steps} steps: the figures mean nothing"
        )
    return Results(
        anokit=__version__,
        title=recipe.title,
        recipe=recipe.name,
        seed=recipe.seed,
        quick=recipe.quick,
        data="simulated" if data.simulated else "real",
        protocol=data.protocol,
        contamination=recipe.dataset.keys.contamination,
        primary=recipe.primary.name,
        notices=notices,
        warnings=[*warnings, *found.warnings],
        selection=Choice(epoch=epoch, threshold=found.threshold_rule),
        train_images=len(data.train.wholes),
        contaminants=int(data.train.is_contaminant[data.train.wholes.first].sum()),
        test_normal=0 if labels is None else int((labels == 0).sum()),
        test_anomalous=0 if labels is None else int((labels == 1).sum()),
        published_source=recipe.published_source if whole and recipe.published else None,
        interval=f"95 % stratified bootstrap over test images, {recipe.evaluation.resamples} "
        "resamples; one training run, so the spread between seeds is not in it",
        copies=[Copies.model_validate(vars(one)) for one in data.copies],
        dropped={what: list(names) for what, names in data.dropped.items()},
        unread=dict(data.unread),
        rows=[row if whole else row.model_copy(update={"published": None}) for row in found.rows],
    )


def score_table(test: TestSet, columns: Mapping[str, Values]) -> ScoreTable:
    """Return scores.csv: the test images as the user knows them, with ``columns`` by score name."""
    wholes = test.wholes
    labels = np.full(len(test), -1) if test.labels is None else test.labels
    kinds = [test.kinds[row] for row in wholes.first] if test.kinds else [""] * len(wholes)
    return ScoreTable(wholes.ids, labels[wholes.first], kinds, columns)
