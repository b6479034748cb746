"""What papers did and a run does only when told to: choose weights by looking at test labels.

This module is the one place where a test label is read before the evaluation, and only a recipe
with ``[training] selection = "best-on-test"`` gets to it. (``[evaluation] order = "by-label"``
reads labels too, while test images are being scored: `anokit.scoring.in_order`.)
"""

from __future__ import annotations

from sklearn.metrics import roc_auc_score
from torch import nn

from anokit import checkpoints
from anokit.datasets import RunData, TestSet
from anokit.errors import RecipeError
from anokit.models import Model
from anokit.recipe import Recipe
from anokit.rundir import RunDirectory
from anokit.scoring import Scorer, all_rows, in_order
from anokit.trips import Advance

ON_TEST = "as published: selected on test labels"
"""What every line says whose weights were chosen so."""

LAST = "the last one of a schedule fixed in the recipe; no label was read"
"""How weights are chosen unless a recipe asks for the above."""

MOST_LOOKS = 100
"""Looks at the test set over the last phase, at most; otherwise one after every epoch."""


def batch_remark(recipe: Recipe, model: Model) -> str:
    """Return how scores depend on the batch, for every line of a result; empty where they do not.

    Whoever scores all test images of one class together should say so beside.
    """
    why = model.batch_dependence.removesuffix(", as published")
    if not why:
        return ""
    order = ", normal images first" if recipe.evaluation.order == "by-label" else ""
    size = recipe.evaluation.batch_size
    return f"as published: depends on the batch: {why}; {size} images at a time{order}"


def remarks(recipe: Recipe, model: Model) -> list[str]:
    """Return what is not as it should be with the figures of a run, in full."""
    found = [text] if (text := batch_remark(recipe, model)) else []
    if recipe.training.selection == "best-on-test":
        found.append(f"{ON_TEST}: the weights are those with the best AUROC on the test set")
    return found


def how_weights_were_chosen(recipe: Recipe, directory: RunDirectory) -> str:
    """Return the sentence on the choice of weights that stands in the results."""
    if recipe.training.selection == "last":
        return LAST
    best = checkpoints.load_metadata(directory.best)
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

    def __init__(
        self, recipe: Recipe, data: RunData, model: Model, scorer: Scorer, directory: RunDirectory
    ) -> None:
        labels = data.test.labels if data.test else None
        if data.test is None or labels is None or len(set(labels.tolist())) < 2:
            raise RecipeError(
                'training.selection = "best-on-test" needs a test set with labelled normal and '
                'anomalous images, and there is none; remove it, which means "last"'
            )
        self.recipe = recipe
        self.data = data
        self.test: TestSet = data.test
        self.labels = labels
        self.backbone: nn.Module = model.backbone
        self.scorer = scorer
        self.directory = directory

    def due(self, shown: int, batch: int, total: int) -> bool:
        """Return whether an epoch ended within the last ``batch`` of ``shown`` images.

        ``shown`` and ``total`` count the images of the last phase; its end is always a look.
        """
        every = max(len(self.data.train), total / MOST_LOOKS)
        return int(shown / every) > int((shown - batch) / every) or shown >= total

    def look(self, shown: int) -> tuple[float, bool]:
        """Return the AUROC on the test set now, and whether it is the best one yet.

        The weights are then kept. Training is not touched otherwise. ``shown`` is the number of
        training images shown in all.
        """
        training = self.backbone.training
        self.backbone.eval()
        try:
            auroc = self._auroc()
        finally:
            self.backbone.train(training)
        best = auroc > self._best()
        if best:
            content = {"auroc": auroc, "shown": shown}
            checkpoints.save_tensors(self.directory.best, self.backbone.state_dict(), content)
        return auroc, best

    def restore(self) -> None:
        """Give the backbone the weights that did best.

        Raises
        ------
        CheckpointError
            Where their file is gone.
        """
        checkpoints.load_module(self.backbone, self.directory.best)

    def _best(self) -> float:
        if not self.directory.best.exists():
            return -1.0
        return float(checkpoints.load_metadata(self.directory.best)["auroc"])

    def _auroc(self) -> float:
        train = self.data.train
        self.scorer.fit(train.images, all_rows(len(train)), _untold)
        rows = in_order(self.test, self.recipe.evaluation.order)
        scored = self.scorer.compute(self.test.images, rows)
        values = self.scorer.combine(self.recipe.primary, scored.values)
        return float(roc_auc_score(self.labels[rows], values))


def _untold(what: str, total: int) -> Advance:
    """Take the place of a progress display: training has one already."""
    return lambda count: None
