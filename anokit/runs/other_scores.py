"""What commands that score a finished run anew share: its recipe with other scores, its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anokit.data.sets import TestSet
from anokit.errors import CheckpointError
from anokit.recipe.parts import Recipe
from anokit.runs.opened import OpenedRun
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import ScoreTable


def with_scores(
    opened: OpenedRun, scores: Sequence[Mapping[str, Any]], path: Path | None = None
) -> Recipe:
    """Return a finished run's recipe with these tables of scores in place of all of its own.

    Raises
    ------
    RecipeError
        With all that is wrong with them; ``path`` is the file that it names.
    """
    return opened.recipe(
        path,
        scores=list(scores),
        # What judged training images is done with; its name need not be among these scores.
        training={**opened.tables["training"], "refine": None},
        baselines=[],
        published={},
        requires=[],
    )


def table_of(directory: RunDirectory, test: TestSet | None) -> ScoreTable | None:
    """Return scores.csv of a run, None without a test set.

    Raises
    ------
    CheckpointError
        Where it is missing or damaged, or is of other images.
    """
    if test is None:
        return None
    table = directory.read_scores()
    if list(table.ids) != test.wholes.ids:
        raise CheckpointError(f"{directory.table}: damaged: its ids are not those of the test set")
    return table
