"""Further scores of a finished run, from its stored weights and its own data: nothing is trained.

What the run measured stays as it was; what is added is marked, since whoever adds a score has seen
the results of the others.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from anokit.data.preparing import prepare
from anokit.errors import Interrupted, RecipeError, UsageError
from anokit.recipe.changes import read_toml
from anokit.recipe.parts import Recipe
from anokit.registry.entries import FoundPlugin
from anokit.report.html import write_report
from anokit.results.assess import Assessment
from anokit.results.cues import explain_run
from anokit.results.exhibits import OF_SCORES, term_values, terms_of
from anokit.results.explanations import Explanation
from anokit.results.rows import Results, write_results
from anokit.runs.added_before import settings_of
from anokit.runs.noting import noting
from anokit.runs.opened import OpenedRun, open_run
from anokit.runs.other_scores import table_of, with_scores
from anokit.runs.painting import draw_maps
from anokit.runs.plugins_now import plugin_words
from anokit.runs.scoring import failed_row, raise_if_failed, with_what_works
from anokit.runs.trust import recorded_plugins
from anokit.store.fitted_files import FittedFiles
from anokit.store.records import PLUGIN_FILES
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_tensors, save_tensors
from anokit.store.undo import changing
from anokit.training.backbone import load_backbone
from anokit.training.device import resolve_device
from anokit.training.job import Job
from anokit.version import __version__
from anokit.watching import NOBODY, Watcher


def add_scores(
    run: Path,
    scores: Path,
    watcher: Watcher = NOBODY,
    *,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    trust_plugins: bool = False,
    replace: bool = False,
) -> RunDirectory:
    """Add the ``[[scores]]`` of a TOML file to a finished run: its results, scores.csv and report.

    From then on they are the run's like its own. ``replace`` lets them take the place of scores of
    the same name that were added before. Where some fail, the others are added all the same.

    Raises
    ------
    CheckpointError
        Where the run is not finished, a file of it is damaged, or the data are no longer the same.
    RecipeError
        With all that is wrong with the scores: one that the backbone cannot feed, a name that the
        run has already, a key that is not ``scores``.
    UsageError
        Where a plugin is neither given nor trusted, or differs from the run's of the same name.
    ScoresFailed
        Where some fail; the row of each says why. One that was to replace another leaves that as it
        was.
    PluginFault
        Where all fail; then the run is as it was.
    Interrupted
        After Ctrl-C, with the command that adds them.
    """
    opened = open_run(run, plugins=plugins, trust_plugins=trust_plugins)
    directory = opened.directory
    words = ["add-scores", str(run), "--scores", str(scores), "--replace", *plugin_words(plugins)]
    words += ["--trust-plugins"] if trust_plugins else []
    again = f"anokit {shlex.join(words)}"
    with noting(watcher) as told:
        recipe = _recipe(opened, scores)
        _check_names(opened, recipe, scores, replace)
        _check_plugins(opened, recipe, used_by(recipe, opened))
        with opened.locked():
            data = prepare(recipe.dataset, recipe.seed, watcher)
            directory.check_same_data(data.fingerprint)
            target = resolve_device(device)
            backbone = load_backbone(recipe, data.spec, target, directory.model)
            job = Job(recipe, data, backbone, directory, target, watcher)
            try:
                job, found, made, failed = with_what_works(job, _made, _staying(opened, recipe))
                with changing(directory):
                    results = _write(opened, job, found, made, failed, told)
                    watcher.notice("writing the report")
                    write_report(run, results)
                    write_results(directory, results)
                directory.remove_unrecorded()
            except KeyboardInterrupt:
                raise Interrupted(
                    f"interrupted: {run} keeps what it measured; add the scores with: {again}"
                ) from None
    raise_if_failed(directory, failed, again)
    return directory


def used_by(recipe: Recipe, opened: OpenedRun) -> list[FoundPlugin]:
    """Return the plugins that offer the scores of a recipe."""
    return [plugin for plugin in opened.registry.plugins if plugin.name in recipe.score_plugins]


def _recipe(opened: OpenedRun, path: Path) -> Recipe:
    """Return the run's own recipe with the scores of ``path`` in place of its own."""
    _, tables = read_toml(path)
    other = sorted(set(tables) - {"scores"})
    if other or not tables.get("scores"):
        got = f"got {', '.join(other)}" if other else "got none"
        raise RecipeError(
            f"{path}: expected [[scores]] alone, {got}; all else is the finished run's own"
        )
    return with_scores(opened, tables["scores"], path)


def _check_names(opened: OpenedRun, recipe: Recipe, path: Path, replace: bool) -> None:
    new = {score.name for score in recipe.scores}
    own = sorted(new & {row.name for row in opened.results.rows if not row.added})
    if own:
        raise RecipeError(
            f"{path}: the run has scores called {', '.join(own)} of its own, and what a run "
            'measured stays; give yours another name = "…"'
        )
    added = sorted(new & set(opened.added))
    if added and not replace:
        raise RecipeError(
            f"{path}: scores called {', '.join(added)} were added before; give yours another "
            'name = "…", or put them in their place with --replace'
        )


def _check_plugins(opened: OpenedRun, recipe: Recipe, used: Sequence[FoundPlugin]) -> None:
    """Refuse a one-file plugin in whose place the run needs another of the same name."""
    new = {score.name for score in recipe.scores}
    staying = {name: entry for name, entry in opened.added.items() if name not in new}
    recorded = recorded_plugins(opened.directory, staying)
    for plugin in used:
        if plugin.file and recorded.get(plugin.file.name, plugin.sha256) != plugin.sha256:
            mended = (
                "; or, where it mends what failed in the run, go on with: "
                f"{opened.directory.resume_command}"
            )
            raise UsageError(
                f"--plugin {plugin.file}: the run needs another {plugin.file.name} (SHA-256 "
                f"{recorded[plugin.file.name][:12]}, this one {plugin.sha256[:12]}); rename yours"
                f"{mended if opened.directory.some_failed else ''}"
            )


def _staying(opened: OpenedRun, recipe: Recipe) -> FittedFiles:
    """Return the files of scores that stay: what these have learnt, new ones do not learn anew.

    Two scores with a component in common share its file, and where it was made, on another machine
    perhaps, it may have come out otherwise in its last digits.
    """
    new = {score.name for score in recipe.scores}
    names = [n for row in opened.results.rows if row.name not in new for n in row.fitted_files]
    return FittedFiles.of(opened.directory.scores, names)


def _without_warnings(opened: OpenedRun, names: Container[str]) -> Results:
    """Return a run's results without what was told of added scores of these names alone."""
    staying = {text for n, one in opened.added.items() if n not in names for text in one.warnings}
    told = {text for n, one in opened.added.items() if n in names for text in one.warnings}
    kept = [text for text in opened.results.warnings if text not in told - staying]
    return opened.results.model_copy(update={"warnings": kept})


Made = tuple[dict[str, Tensor], list[Explanation]]
"""What the report draws from, and what scores follow."""


def _made(job: Job, found: Assessment) -> Made:
    """Return what the report draws of new scores beside what it has, and what they follow."""
    explained = explain_run(job, found)
    shown = load_tensors(job.directory.exhibits)
    maps = draw_maps(job, found, shown, job.directory.read_ranking())
    return term_values(job, found) | maps, explained


def _write(
    opened: OpenedRun,
    job: Job,
    found: Assessment,
    made: Made,
    failed: Mapping[str, str],
    told: Sequence[str],
) -> Results:
    """Write what was found beside what the run has; return all results, not written yet."""
    directory, recipe = job.directory, job.recipe
    today = dt.date.today().isoformat()
    mark = f"added later ({today}): computed from the stored weights, the other results being known"
    table = table_of(directory, job.data.test)
    if table is not None:
        directory.write_scores(table.with_columns(found.columns))
    directory.write_ranking(directory.read_ranking().with_columns(found.ranking))
    names = {score.name for score in recipe.scores}
    terms = directory.terms()
    kept = {name: value for name, value in terms.items() if name not in names}
    directory.write_json("terms.json", {**kept, **terms_of(job)})
    drawn = {
        name: value
        for name, value in load_tensors(directory.exhibits).items()
        if not (name.startswith(OF_SCORES) and name.split("/")[1] in names)
    }
    save_tensors(directory.exhibits, drawn | made[0])
    used = used_by(recipe, opened)
    warnings = [*told, *found.warnings]
    own_warnings = _without_warnings(opened, opened.added).warnings
    copies = directory.keep_plugins(used)
    entry = {
        "date": today,
        "anokit": __version__,
        "threshold": found.threshold_rule,
        # What the run itself says would go where this score is replaced.
        "warnings": [text for text in warnings if text not in own_warnings],
        "settings": settings_of(recipe),
    }
    entries = {}
    for score in recipe.scores:
        own = [plugin for plugin in used if plugin.name in {t.entry.plugin for t in score.terms}]
        files = [plugin.file.name for plugin in own if plugin.file]
        entries[score.name] = {
            **entry,
            "plugins": {plugin.name: plugin.version for plugin in own},
            PLUGIN_FILES: {name: copies[name] for name in files},
            "score": score.as_dict(),
        }
    directory.merge_json("added.json", entries)
    # What failed in the place of a score that was added before leaves that one as it is.
    out = {name: why for name, why in failed.items() if name not in opened.added}
    rows = [*found.rows, *(failed_row(name, job, why) for name, why in out.items())]
    rows = [row.model_copy(update={"added": mark}) for row in rows]
    results = _without_warnings(opened, names).with_rows(rows, warnings, made[1])
    results.files = directory.hashes(results.fitted_files)
    return results
