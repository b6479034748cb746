"""Score a trained run and write what it leaves, also where some of its scores fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from anokit.errors import AnokitError
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry
from anokit.report.html import write_report
from anokit.results.assess import Assessment, assess
from anokit.results.best_on_test import how_weights_were_chosen
from anokit.results.cues import explain_run
from anokit.results.exhibits import exhibits, terms_of
from anokit.results.explanations import Explanation
from anokit.results.making import make_results, score_table
from anokit.results.refined import refined, write_rejected
from anokit.results.rows import Results, Row, write_results
from anokit.runs.added_before import AddedBefore, added_before
from anokit.runs.before import compare_with_former
from anokit.runs.explained_before import explained_before
from anokit.runs.painting import draw_maps
from anokit.runs.recording import of_two_versions, record
from anokit.scoring.built_score import failed_score
from anokit.store.fitted_files import FittedFiles
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import save_tensors
from anokit.training.job import Job
from anokit.training.state import State

T = TypeVar("T")


class ScoresFailed(AnokitError):
    """Some scores failed; all else of the run is scored, written and kept."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def finish(job: Job, registry: Registry, state: State, told: Sequence[str] = ()) -> None:
    """Score, measure, and write all that a finished run leaves, also where some scores fail.

    ``registry`` has the plugins at work, and ``told`` is what was told of them so far.
    """
    directory, whole = job.directory, job
    before, said = added_before(job, registry), explained_before(job)
    if state.refinement.shown:
        write_rejected(job, state.refinement)
    job, found, (explained, added), failed = with_what_works(
        job, lambda job, found: _drawn(job, found, before)
    )
    table = score_table(job.data.test, found.columns) if job.data.test else None
    tested = {**found.columns, **added.columns} if table else {}
    if table:
        directory.write_scores(table.with_columns(added.columns))
    ranking = found.ranking.with_columns(added.ranking or found.ranking)
    directory.write_ranking(ranking)
    directory.write_json("terms.json", {**added.terms, **terms_of(job)})
    epoch = how_weights_were_chosen(whole.recipe, directory)
    warnings = [*of_two_versions(directory, whole.recipe), *state.warnings, *told]
    results = make_results(job, found, warnings, epoch)
    results = results.model_copy(
        update={
            "refined": refined(job, state.refinement),
            "explanations": explained,
        }
    )
    if job.data.test and not results.rows[0].metrics:
        job.watcher.notice("No metrics: the test set has no labelled images of both classes.")
    results = _with_failed(results, whole, failed)
    results = results.with_rows(added.rows, added.warnings)
    names = [row.name for row in results.rows]
    staying = said.staying(names, ranking, tested, job.watcher)
    results = results.with_explanations(staying)
    results.files = directory.hashes(results.fitted_files)
    record(directory, whole.recipe, registry)
    compare_with_former(directory, job.data, results)
    job.watcher.notice("writing the report")
    write_report(directory.path, results)
    # Last, since a run counts as finished once it is there: nothing of it is then missing.
    write_results(directory, results)
    directory.remove_unrecorded()
    if not failed:  # otherwise the run goes on from here once they are mended
        directory.remove_checkpoints()


def _drawn(
    job: Job, found: Assessment, before: AddedBefore
) -> tuple[list[Explanation], AddedBefore]:
    """Explain scores, write what the report draws from and overlays/.

    Returns the explanations, and what was added ``before`` as far as it fits beside.
    """
    explained = explain_run(job, found)  # before maps are painted, which fits scores anew
    shown = exhibits(job, found)
    shown |= draw_maps(job, found, shown, found.ranking, overlays=True)
    added = before.beside(found.ranking, shown, found.scorer.files, job.watcher)
    save_tensors(job.directory.exhibits, {**added.drawn, **shown})
    return explained, added


def with_what_works(
    job: Job, make: Callable[[Job, Assessment], T], kept: FittedFiles | None = None
) -> tuple[Job, Assessment, T, dict[str, str]]:
    """Assess a job, and make something of it, without the scores whose code fails.

    Each that fails is left out and all others are scored again, so that nothing of it stays. What
    ``kept`` has is not fitted anew.

    Returns
    -------
    job, assessment, made
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
        job.directory.remove_unrecorded()
        try:
            found = assess(job, kept)
            made = make(job, found)
        except AnokitError as error:
            key = failed_score(error)
            recipe = job.recipe
            named = (*recipe.scores, *recipe.baselines)
            out = {s.name for s in named if any(term.key == key for term in s.terms)}
            scores = tuple(score for score in recipe.scores if score.name not in out)
            if not out or not scores:
                job.directory.remove_unrecorded()
                raise
            failed |= dict.fromkeys(sorted(out), str(error))
            job.watcher.warning(f"{', '.join(sorted(out))}: {error}")
            baselines = tuple(score for score in recipe.baselines if score.name not in out)
            job = replace(job, recipe=replace(recipe, scores=scores, baselines=baselines))
        else:
            return job, found, made, failed


def failed_row(name: str, job: Job, why: str, kind: Literal["score", "baseline"] = "score") -> Row:
    """Return the row of a score that failed: no figure, but why."""
    return Row(name=name, kind=kind, protocol=job.data.protocol, failed=why)


def _with_failed(results: Results, job: Job, failed: Mapping[str, str]) -> Results:
    """Return results with a row for each score that failed, in the order of the recipe."""
    if not failed:
        return results
    rows = {row.name: row for row in results.rows}
    named = (*job.recipe.scores, *job.recipe.baselines)
    return results.model_copy(
        update={
            "rows": [
                rows.get(s.name) or failed_row(s.name, job, failed[s.name], s.role) for s in named
            ],
            "warnings": [*results.warnings, *(f"{n} failed: {why}" for n, why in failed.items())],
        }
    )


def raise_if_failed(directory: RunDirectory, failed: Mapping[str, str], command: str) -> None:
    """Raise `ScoresFailed` where scores failed; ``command`` goes on once they are mended."""
    if not failed:
        return
    count = "1 score" if len(failed) == 1 else f"{len(failed)} scores"
    raise ScoresFailed(
        "\n".join(
            [
                f"{count} failed, all else is scored: see {directory.report}",
                *(f"  {name}: {why}" for name, why in failed.items()),
                f"mend what failed, or leave it out, then: {command}",
            ]
        ),
        directory.path,
    )


def with_command(fault: PluginFault, directory: RunDirectory) -> PluginFault:
    """Return a fault with the command that goes on once it is mended."""
    if not directory.begun:
        return fault
    return fault.adding(f"; once it is mended, go on with: {directory.resume_command}")
