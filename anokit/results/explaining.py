"""How far scores are explained by what an image shows without any network. Labels are read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anokit.data import seeded_order
from anokit.data.sets import ImageTable, RunData, TestSet
from anokit.data.statistics import EQUALISED, Copies, describe_wholes, equalise
from anokit.errors import CheckpointError
from anokit.results.covariates import Regression, rank_correlation
from anokit.results.differences import Scores, difference
from anokit.results.explanations import EqualCopies, Explanation, Followed, Without
from anokit.results.metrics import Estimate, Floats, measure

MOST_TRAIN_IMAGES = 1000
"""Training images that correlations and regressions are from; the seed draws them from more."""

OFF_TARGET = 0.01
"""Share of the target by which a copy may miss it and still count as equal."""

Rescore = Callable[[ImageTable], Mapping[str, Floats]]
"""Scores of copies of the test set, ``[M]`` by score name, of images as the user knows them."""


@dataclass(frozen=True)
class Values:
    """One score's values."""

    training: Floats
    """``[n]``, in the order of the names that `Explainer` was given"""
    test: Floats | None
    """``[M]``, of the test images as the user knows them; None without a test set"""


class Explainer:
    """What is known of a run's images without a network; explains scores by it.

    Parameters
    ----------
    names
        Training images whose scores there are, as the user calls them.
    given
        Scores that count as covariates beside the statistics, by name.
    resamples, seed
        Of the bootstrap; the seed also draws training images, where there are many.

    Raises
    ------
    CheckpointError
        Where a name is none of the training images.
    """

    def __init__(
        self,
        data: RunData,
        names: Sequence[str],
        given: Mapping[str, Values] | None = None,
        *,
        resamples: int,
        seed: int | None,
    ) -> None:
        self.resamples, self.seed = resamples, seed or 0
        wholes = data.train.wholes
        called = data.train.names
        place = {called[row]: at for at, row in enumerate(wholes.first)}
        if not set(names) <= set(place):
            raise CheckpointError(
                "training_scores.csv: damaged: its images are not those of the training set"
            )
        self.count = len(names)
        # In the order of the training set, whatever that of the names is.
        places = np.array([place[name] for name in names], dtype=np.int64)
        some = np.sort(seeded_order(len(names), self.seed, "explain")[:MOST_TRAIN_IMAGES])
        self.chosen = np.argsort(places, kind="stable")[some]
        rows = places[self.chosen]
        self.training = describe_wholes(data.train.images, wholes, rows)
        self.test = labelled(data.test)
        self.tested: dict[str, Floats] = {}
        if self.test is not None and self.test.labels is not None:
            self.labels = self.test.labels[self.test.wholes.first]
            self.tested = describe_wholes(self.test.images, self.test.wholes)
        for name, values in (given or {}).items():
            self.training[name] = values.training[self.chosen]
            if values.test is not None:
                self.tested[name] = values.test
        tested = self.tested.items() if self.test is not None else ()
        self.alone = {name: self._auroc(column) for name, column in tested}

    def explain(
        self,
        scores: Mapping[str, Values],
        rescore: Rescore | None = None,
        no_copies: str = "",
    ) -> list[Explanation]:
        """Explain scores, by name.

        ``rescore`` computes all of them on copies of the test images; None leaves that out, and
        ``no_copies`` says why.
        """
        copied = self._copied(rescore) if rescore and self.test is not None else {}
        return [self._explained(name, scores[name], copied, no_copies) for name in scores]

    def _explained(
        self,
        name: str,
        values: Values,
        copied: Mapping[str, tuple[Copies, Mapping[str, Floats]]],
        no_copies: str,
    ) -> Explanation:
        training = values.training[self.chosen]
        fit = Regression.of(training, self.training)
        found = Explanation(
            score=name,
            train_images=len(training),
            train_images_of=self.count,
            statistics=[self._followed(*column, training) for column in self.training.items()],
            explained=None if fit is None else fit.explained,
        )
        if self.test is None or values.test is None:
            return found
        found.auroc = self._auroc(values.test)
        for one in found.statistics:
            one.auroc = self.alone[one.statistic]
        if fit is not None:
            left = fit.residual(values.test, self.tested)
            found.regressed = Without(
                auroc=self._auroc(left), change=self._change(values.test, left)
            )
        for statistic, (copies, scores) in copied.items():
            found.copies.append(self._equal(statistic, copies, scores[name]))
        found.no_copies = "" if copied else no_copies
        return found

    def _followed(self, statistic: str, column: Floats, score: Floats) -> Followed:
        correlation = rank_correlation(score, column, resamples=self.resamples, seed=self.seed)
        return Followed(statistic=statistic, correlation=correlation)

    def _copied(self, rescore: Rescore) -> dict[str, tuple[Copies, Mapping[str, Floats]]]:
        """Return copies of the test images by the statistic that is equal, and their scores."""
        assert self.test is not None
        found = {}
        for statistic in EQUALISED:
            target = self._target(statistic)
            if target > 0:  # else at least half of the training images are flat
                copies = equalise(self.test.images, statistic, target)
                found[statistic] = copies, rescore(copies.images)
        return found

    def _equal(self, statistic: str, copies: Copies, scores: Floats) -> EqualCopies:
        target = self._target(statistic)
        off = np.abs(copies.reached - target) > OFF_TARGET * target
        return EqualCopies(
            statistic=statistic,
            target=target,
            auroc=self._auroc(scores),
            clipped=float((copies.clipped > 0).mean()),
            missed=float(off.mean()),
        )

    def _target(self, statistic: str) -> float:
        return float(np.median(self.training[statistic]))

    def _auroc(self, values: Floats) -> Estimate:
        """Return the AUROC of values ``[M]``, resampled as every other figure of the run."""
        found = measure(self.labels, values, None, resamples=self.resamples, seed=self.seed)
        assert found is not None
        return found.auroc

    def _change(self, before: Floats, after: Floats) -> Estimate:
        assert self.test is not None
        ids = tuple(self.test.wholes.ids)
        one, other = (Scores(None, ids, self.labels, values) for values in (before, after))
        return difference([one], [other], resamples=self.resamples, seed=self.seed).auroc


def labelled(test: TestSet | None) -> TestSet | None:
    """Return a test set that has images of both classes, tiles taken together; None for others."""
    if test is None or test.labels is None:
        return None
    if not {0, 1} <= set(test.labels[test.wholes.first].tolist()):
        return None
    return test
