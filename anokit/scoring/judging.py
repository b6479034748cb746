"""How anomalous training images look to a model that is being trained. No label is read."""

from __future__ import annotations

from anokit.data.sets import all_rows
from anokit.scoring.scorer import Scorer, Values
from anokit.scoring.training_scores import score_training
from anokit.training.job import Job


class TrainingJudge:
    """Scores all training images with the model as it is, by one of the recipe's scores.

    A fitted score judges no image that it was fitted on, as in the evaluation. ``name``: which
    score; None for the first one.
    """

    def __init__(self, job: Job, name: str | None) -> None:
        recipe = job.recipe
        self.job = job
        self.score = next((s for s in recipe.scores if s.name == name), recipe.primary)
        batch = recipe.evaluation.batch_size
        self.scorer = Scorer([self.score], job.backbone, job.device, batch, recipe.seed)

    def __call__(self) -> Values:
        """Return the score of every training image: ``[N]``."""
        # Nobody is told: training is being watched already.
        train, folds = self.job.data.train, self.job.recipe.evaluation.folds
        memory = self.scorer.memory(len(train))
        found = score_training(self.scorer, train, all_rows(len(train)), folds, memory=memory)
        return self.scorer.combine(self.score, found.values)
