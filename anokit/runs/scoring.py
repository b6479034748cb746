"""Score a run although some of its scores fail: these are named, and the rest is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from anokit.errors import AnokitError
from anokit.registry.blame import PluginFault
from anokit.results.assess import Assessment, assess
from anokit.results.rows import Results, Row
from anokit.scoring.built_score import failed_score
from anokit.store.run_directory import RunDirectory
from anokit.training.job import Job


class ScoresFailed(AnokitError):
    """Some scores failed; all else of the run is scored, written and kept."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def assess_what_works(
    job: Job, then: Callable[[Job, Assessment], None]
) -> tuple[Job, Assessment, dict[str, str]]:
    """Assess a job, and ``then`` draw from it, without the scores whose code fails.

    Each that fails is left out and all others are scored again, so that nothing of it stays.

    Returns
    -------
    job, assessment
        Without those that failed.
    failed
        Why, by name.

    Raises
    ------
    PluginFault
        Where no score is left, or the fault is nobody's whom one can leave out.
    """
    failed: dict[str, str] = {}
    while True:
        try:
            found = assess(job)
            then(job, found)
        except AnokitError as error:
            key = failed_score(error)
            recipe = job.recipe
            named = (*recipe.scores, *recipe.baselines)
            out = {s.name for s in named if any(term.key == key for term in s.terms)}
            scores = tuple(score for score in recipe.scores if score.name not in out)
            if not out or not scores:
                raise
            failed |= dict.fromkeys(sorted(out), str(error))
            job.watcher.warning(f"{', '.join(sorted(out))}: {error}")
            baselines = tuple(score for score in recipe.baselines if score.name not in out)
            job = replace(job, recipe=replace(recipe, scores=scores, baselines=baselines))
        else:
            return job, found, failed


def with_failed(results: Results, job: Job, failed: Mapping[str, str]) -> Results:
    """Return results with a row for each score that failed, in the order of the recipe."""
    if not failed:
        return results
    rows = {row.name: row for row in results.rows}
    named = (*job.recipe.scores, *job.recipe.baselines)
    return results.model_copy(
        update={
            "rows": [
                rows.get(s.name)
                or Row(
                    name=s.name,
                    kind=s.role,
                    protocol=job.data.protocol,
                    failed=failed[s.name],
                )
                for s in named
            ],
            "warnings": [*results.warnings, *(f"{n} failed: {why}" for n, why in failed.items())],
        }
    )


def raise_if_failed(directory: RunDirectory, results: Results) -> None:
    """Raise `ScoresFailed` where scores of a run that is otherwise whole failed."""
    if not results.failed:
        return
    lines = [f"  {row.name}: {row.failed}" for row in results.rows if row.failed]
    count = "1 score" if len(lines) == 1 else f"{len(lines)} scores"
    raise ScoresFailed(
        "\n".join(
            [
                f"{count} failed, all else is scored: see {directory.report}",
                *lines,
                f"mend what failed, or leave it out, then: {directory.resume_command}",
            ]
        ),
        directory.path,
    )


def with_command(fault: PluginFault, directory: RunDirectory) -> PluginFault:
    """Return a fault with the command that goes on once it is mended."""
    if not directory.begun:
        return fault
    return fault.adding(f"; once it is mended, go on with: {directory.resume_command}")
