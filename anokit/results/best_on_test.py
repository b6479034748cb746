"""What papers did and a run does only when told to: choose weights by looking at test labels.

This module is the one place where a test label is read before the evaluation, and only a recipe
with ``[training] selection = "best-on-test"`` gets to it. (``[evaluation] order = "by-label"``
reads labels too, while test images are being scored: `in_order`.)
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from anokit.data.sets import Rows, TestSet, all_rows
from anokit.errors import RecipeError
from anokit.recipe.parts import Recipe
from anokit.scoring.built_score import BuiltScore
from anokit.scoring.scorer import Scorer
from anokit.scoring.training_scores import score_training
from anokit.store.files import make_folder
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_metadata, load_module, save_tensors
from anokit.training.backbone import GuardedBackbone
from anokit.training.job import Job

ON_TEST = "as published: selected on test labels"
"""What every line says whose weights were chosen so."""

LAST = "the last one of a schedule fixed in the recipe; no label was read"
"""How weights are chosen unless a recipe asks for the above."""

MOST_LOOKS = 100
"""Looks at the test set over the last phase, at most; otherwise one after every epoch."""


def batch_remark(recipe: Recipe, what: GuardedBackbone | BuiltScore) -> str:
    """Return how scores depend on the batch, for every line of a result; empty where they do not.

    Whoever scores all test images of one class together should say so beside.
    """
    why = what.batch_dependence.removesuffix(", as published")
    if not why:
        return ""
    order = ", normal images first" if recipe.evaluation.order == "by-label" else ""
    size = recipe.evaluation.batch_size
    return f"as published: depends on the batch: {why}; {size} images at a time{order}"


def remarks(recipe: Recipe, backbone: GuardedBackbone) -> list[str]:
    """Return what is not as it should be with the figures of a run, in full."""
    found = [text] if (text := batch_remark(recipe, backbone)) else []
    if recipe.training.selection == "best-on-test":
        found.append(f"{ON_TEST}: the weights are those with the best AUROC on the test set")
    return found


def how_weights_were_chosen(recipe: Recipe, directory: RunDirectory) -> str:
    """Return the sentence on the choice of weights that stands in the results."""
    if recipe.training.selection == "last":
        return LAST
    best = load_metadata(directory.best)
    return (
        f"{ON_TEST}: the one after {best['shown']:,} training images, where the AUROC of "
        f"{recipe.primary.name} on the test set was best, {best['auroc']:.3f}"
    )


class BestOnTest:
    """Keeps the weights with which the primary score does best on the test set.

    Raises
    ------
    RecipeError
        Where the test set has no labels of both classes.
    """

    def __init__(self, job: Job) -> None:
        recipe, test = job.recipe, job.data.test
        labels = test.labels if test else None
        if test is None or labels is None or len(set(labels.tolist())) < 2:
            raise RecipeError(
                'training.selection = "best-on-test" needs a test set with labelled normal and '
                'anomalous images, and there is none; remove it, which means "last"'
            )
        self.job = job
        self.test = test
        self.labels = labels
        batch = recipe.evaluation.batch_size
        self.scorer = Scorer([recipe.primary], job.backbone, job.device, batch, recipe.seed)

    def due(self, shown: int, batch: int, total: int) -> bool:
        """Return whether an epoch ended within the last ``batch`` of ``shown`` images.

        ``shown`` and ``total`` count the images of the last phase; its end is always a look.
        """
        every = max(len(self.job.data.train), total / MOST_LOOKS)
        return int(shown / every) > int((shown - batch) / every) or shown >= total

    def look(self, shown: int) -> tuple[float, bool]:
        """Return the AUROC on the test set now, and whether it is the best one yet.

        The weights are then kept. Training is not touched otherwise. ``shown`` is the number of
        training images shown in all.
        """
        with self.job.backbone.evaluating():
            auroc = self._auroc()
        best = auroc > self._best()
        if best:
            content = {"auroc": auroc, "shown": shown}
            make_folder(self.job.directory.best.parent)
            save_tensors(self.job.directory.best, self.job.backbone.module.state_dict(), content)
        return auroc, best

    def restore(self) -> None:
        """Give the backbone the weights that did best.

        Raises
        ------
        CheckpointError
            Where their file is gone.
        """
        load_module(self.job.backbone.module, self.job.directory.best)

    def _best(self) -> float:
        if not self.job.directory.best.exists():
            return -1.0
        return float(load_metadata(self.job.directory.best)["auroc"])

    def _auroc(self) -> float:
        train, recipe = self.job.data.train, self.job.recipe
        # Nobody is told: training is being watched already.
        if recipe.primary.combine == "sum":
            self.scorer.fit(train.images, all_rows(len(train)))
        else:
            score_training(self.scorer, train, all_rows(len(train)), recipe.evaluation.folds)
        rows = in_order(self.test, recipe.evaluation.order)
        scored = self.scorer.compute(self.test.images, rows)
        values = self.scorer.combine(recipe.primary, scored.values)
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(self.labels[rows], values))


def in_order(test: TestSet, order: Literal["stored", "by-label"]) -> Rows:
    """Return the rows of a test set in the order in which they are to be scored.

    ``by-label`` puts normal images first, which is how batches of the published GANomaly code come
    to be of one class each. It reads the labels; ``stored`` does not.
    """
    if order == "stored" or test.labels is None:
        return all_rows(len(test))
    return np.argsort(test.labels, kind="stable").astype(np.int64)
