"""What scores of a run were said to follow, kept where the run is scored again and they stay.

An explanation is made of columns of scores, of images and of copies of these. The images of a run
are the same for ever; so it holds as long as the columns are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from anokit.errors import CheckpointError
from anokit.results.explanations import Explanation
from anokit.results.rows import read_results
from anokit.runs.added_before import settings_of
from anokit.store.score_table import Column, Ranking
from anokit.training.job import Job
from anokit.watching import Watcher

Columns = Mapping[str, Column]


@dataclass(frozen=True)
class ExplainedBefore:
    """Explanations that a run had, and the columns that they are from; empty where it had none."""

    explanations: Sequence[Explanation] = ()
    ranking: Ranking | None = None
    """None where nothing can be compared with what is measured now"""
    tested: Columns = field(default_factory=dict)

    def staying(
        self, names: Sequence[str], ranking: Ranking, tested: Columns, watcher: Watcher
    ) -> list[Explanation]:
        """Return those that hold for the columns of now; tell of others of scores that stay."""
        pairs = [(self.tested, tested)]
        same = self.ranking is not None and set(self.ranking.images) == set(ranking.images)
        if self.ranking is not None and same:
            in_order_of_now = ranking.with_columns(self.ranking)
            pairs.append((in_order_of_now.columns, ranking.columns))
        kept, lost = [], []
        for one in self.explanations:
            of = (one.score, *one.given)
            if same and all(
                _same(before.get(name), now.get(name)) for before, now in pairs for name in of
            ):
                kept.append(one)
            elif one.score in names:
                lost.append(one.score)
        if lost:
            watcher.notice(
                f"What {', '.join(lost)} followed before is left out, since scores came out "
                "otherwise or are measured otherwise now; explain them again with anokit explain."
            )
        return kept


def _same(before: Column | None, now: Column | None) -> bool:
    if before is None or now is None:
        return before is now
    return np.array_equal(before, now)


def explained_before(job: Job) -> ExplainedBefore:
    """Read what explanations a job's directory has, before it is scored again."""
    directory = job.directory
    if not directory.finished:
        return ExplainedBefore()
    explanations = read_results(directory).explanations
    if not explanations:
        return ExplainedBefore()
    try:
        tested = directory.read_scores().columns if job.data.test else {}
        ranking, stored = directory.read_ranking(), directory.resolved()
    except CheckpointError:  # all of it is written anew
        return ExplainedBefore(explanations)
    now = settings_of(job.recipe)["evaluation"]
    if any(stored["evaluation"].get(key) != value for key, value in now.items()):
        return ExplainedBefore(explanations)
    return ExplainedBefore(explanations, ranking, tested)
