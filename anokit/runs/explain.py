"""``anokit explain``: what scores of a finished run follow besides anomaly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anokit.data.preparing import prepare
from anokit.data.sets import RunData
from anokit.errors import CheckpointError, UsageError
from anokit.recipe.parts import Recipe
from anokit.report import write_report
from anokit.results.cues import rescorer
from anokit.results.explaining import Explainer, Values, labelled
from anokit.results.explanations import Explanation
from anokit.results.rows import Results, Row, write_results
from anokit.runs.finished import OpenedRun, open_run
from anokit.scoring.scorer import Scorer
from anokit.store.files import write_json
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

    def write(self, path: Path) -> None:
        """Write the explanations to a JSON file.

        Raises
        ------
        UsageError
            Where it cannot be written.
        """
        found = [one.model_dump(mode="json") for one in self.explanations]
        if not path.parent.is_dir():
            raise UsageError(f"--json {path}: cannot be written: there is no folder {path.parent}")
        try:
            write_json(path, {"run": str(self.directory.path), "explanations": found})
        except CheckpointError as error:
            raise UsageError(f"--json {error}") from None


def explain(
    run: Path,
    scores: Sequence[str] = (),
    watcher: Watcher = NOBODY,
    *,
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

    Raises
    ------
    CheckpointError
        Where the run is not finished, a file of it is damaged, or the data are no longer the same.
    UsageError
        Where the run has no such score, or a plugin is neither given nor trusted.
    RecipeError
        Where a component that is needed is not installed.
    """
    opened = open_run(run, plugins=plugins, trust_plugins=trust_plugins)
    directory = opened.directory
    names = list(dict.fromkeys(scores)) or [opened.results.primary]
    recipe = _recipe(opened, names)
    with directory.locked():
        data = prepare(recipe.dataset, recipe.seed, watcher)
        directory.check_same_data(data.fingerprint)
        found = _explained(opened, recipe, data, device, watcher)
        results = opened.results.with_explanations(found)
        write_results(directory, results)
        watcher.notice("writing the report")
        write_report(run)
    return Explained(directory, results, found)


def _recipe(opened: OpenedRun, names: Sequence[str]) -> Recipe:
    """Return the run's recipe with these scores alone, whatever their part in it was."""
    tables = {
        _name(table): table for key in ("scores", "baselines") for table in opened.tables[key]
    }
    unknown = [name for name in names if name not in tables or opened.results.row(name) is None]
    if unknown:
        there = ", ".join(row.name for row in opened.results.rows)
        raise UsageError(
            f"--score {unknown[0]}: {opened.directory.path} has no such score; there are: {there}"
        )
    return opened.recipe(
        scores=[tables[name] for name in names],
        # What judged training images is done with; its name need not be among these scores.
        training={**opened.tables["training"], "refine": None},
        baselines=[],
        published={},
        requires=[],
    )


def _name(table: Mapping[str, Any]) -> str:
    return str(table["name"])


def _explained(
    opened: OpenedRun, recipe: Recipe, data: RunData, device: str, watcher: Watcher
) -> list[Explanation]:
    ranking, test = opened.directory.read_ranking(), labelled(data.test)
    table = None if data.test is None else opened.directory.read_scores()
    if data.test is not None and table is not None and list(table.ids) != data.test.wholes.ids:
        raise CheckpointError(
            f"{opened.directory.table}: damaged: its ids are not those of the test set"
        )
    explainer = Explainer(
        data, ranking.images, resamples=recipe.evaluation.resamples, seed=recipe.seed
    )
    values = {
        score.name: Values(
            _column(ranking.columns, score.name, opened.directory.ranking),
            None if table is None else _column(table.columns, score.name, opened.directory.table),
            _row(opened, score.name).metric("auroc"),
        )
        for score in recipe.scores
    }
    if test is None:
        return explainer.explain(values)
    target = resolve_device(device)
    backbone = load_backbone(recipe, data.spec, target, opened.directory.model)
    scorer = Scorer(recipe.scores, backbone, target, recipe.evaluation.batch_size, recipe.seed)
    scorer.load(opened.directory.scores)
    scales = {score.name: _row(opened, score.name).scales for score in recipe.scores}
    scorer.standards = {name: found for name, found in scales.items() if found}
    found = explainer.explain(
        values, rescorer(test, scorer, recipe.scores, recipe.evaluation.order, watcher)
    )
    watcher.done()
    return found


def _row(opened: OpenedRun, name: str) -> Row:
    return next(row for row in opened.results.rows if row.name == name)


def _column(columns: Mapping[str, Column], name: str, path: Path) -> Column:
    if name not in columns:
        raise CheckpointError(f"{path}: damaged: has no column {name!r}, which results.json has")
    return columns[name]
