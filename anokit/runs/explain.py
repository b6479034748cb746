"""``anokit explain``: what scores of a finished run follow besides anomaly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anokit.data.preparing import prepare
from anokit.data.sets import RunData
from anokit.data.statistics import STATISTICS
from anokit.errors import CheckpointError, UsageError
from anokit.recipe.parts import Recipe
from anokit.report.html import write_report
from anokit.results.cues import rescorer
from anokit.results.explaining import Explainer, Values
from anokit.results.explanations import Explanation
from anokit.results.rows import Results, write_results
from anokit.runs.noting import noting
from anokit.runs.opened import OpenedRun, open_run
from anokit.runs.other_scores import table_of, with_scores
from anokit.scoring.scorer import Scorer
from anokit.store.run_directory import RunDirectory
from anokit.store.score_table import Column
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.watching import NOBODY, Watcher


@dataclass(frozen=True)
class Explained:
    """Scores of a finished run, explained."""

    directory: RunDirectory
    results: Results
    """with the explanations among them"""
    explanations: list[Explanation]

    def as_dict(self) -> dict[str, Any]:
        """Return the explanations, with what must be known of the run, as JSON can hold them."""
        rows = {row.name: row for row in self.results.rows}
        return {
            "run": str(self.directory.path),
            "data": self.results.data,
            "quick": self.results.quick,
            "explanations": [
                {**one.model_dump(mode="json"), "remarks": rows[one.score].remarks}
                for one in self.explanations
            ],
        }


def explain(
    run: Path,
    scores: Sequence[str] = (),
    watcher: Watcher = NOBODY,
    *,
    given: Sequence[str] = (),
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
) -> Explained:
    """Explain scores of a finished run by contrast, gradient and brightness of its images.

    The figures are from the run's own tables of scores and from its images, read anew; only copies
    of labelled test images make trips through the network. What is found takes its place in
    results.json and in the report.

    Parameters
    ----------
    scores
        Names of scores, added ones and baselines among them; empty for the primary one.
    given
        Names of further scores of the run that count as covariates beside the three statistics.

    Raises
    ------
    CheckpointError
        Where the run is not finished, a file of it is damaged, or the data are no longer the same.
    UsageError
        Where the run has no such score, or a plugin is neither given nor trusted.
    RecipeError
        Where a component that is needed is not installed.
    """
    opened = open_run(run, plugins=plugins, trust_plugins=trust_plugins, baselines=scores)
    directory = opened.directory
    names = list(dict.fromkeys(scores)) or [opened.results.primary]
    _check_names(opened, names, given)
    with opened.locked(), noting(watcher) as told:
        recipe = _recipe(opened, names)
        data = prepare(recipe.dataset, recipe.seed, watcher)
        directory.check_same_data(data.fingerprint)
        found = _explained(opened, recipe, data, given, device, watcher)
        found = [one.model_copy(update={"warnings": list(dict.fromkeys(told))}) for one in found]
        results = opened.results.with_explanations(found)
        watcher.notice("writing the report")
        write_report(run, results)
        write_results(directory, results)
    return Explained(directory, results, found)


def _check_names(opened: OpenedRun, names: Sequence[str], given: Sequence[str]) -> None:
    known = [row.name for row in opened.results.rows]
    for option, name in [
        *(("score", name) for name in names),
        *(("given", name) for name in given),
    ]:
        if name not in known:
            raise UsageError(
                f"--{option} {name}: {opened.directory.path} has no such score; there are: "
                f"{', '.join(known)}"
            )
    for name in given:
        if name in names or name in STATISTICS:
            why = "explains itself" if name in names else "has the name of a statistic"
            raise UsageError(f"--given {name}: {why}; expected another score of the run")


def _recipe(opened: OpenedRun, names: Sequence[str]) -> Recipe:
    """Return the run's recipe with these scores alone, whatever their part in it was."""
    tables = [*opened.tables["scores"], *opened.tables["baselines"]]
    return with_scores(opened, [table for table in tables if table["name"] in names])


def _explained(
    opened: OpenedRun,
    recipe: Recipe,
    data: RunData,
    given: Sequence[str],
    device: str,
    watcher: Watcher,
) -> list[Explanation]:
    directory = opened.directory
    ranking = directory.read_ranking()
    table = table_of(directory, data.test)

    def values(name: str) -> Values:
        training = _column(ranking.columns, name, directory.ranking)
        tested = None if table is None else _column(table.columns, name, directory.table)
        return Values(training, tested)

    explainer = Explainer(
        data,
        ranking.images,
        {name: values(name) for name in given},
        resamples=recipe.evaluation.resamples,
        seed=recipe.seed,
    )
    wanted = {score.name: values(score.name) for score in recipe.scores}
    if explainer.test is None:
        return explainer.explain(wanted)
    target = resolve_device(device)
    backbone = load_backbone(recipe, data.spec, target, directory.model)
    scorer = Scorer(recipe.scores, backbone, target, recipe.evaluation.batch_size, recipe.seed)
    scorer.load(opened.fitted, opened.results.standards)
    order = recipe.evaluation.order
    rescore = rescorer(explainer.test, scorer, recipe.scores, order, watcher)
    found = explainer.explain(wanted, rescore)
    watcher.done()
    return found


def _column(columns: Mapping[str, Column], name: str, path: Path) -> Column:
    if name not in columns:
        raise CheckpointError(f"{path}: damaged: has no column {name!r}, which results.json has")
    return columns[name]
