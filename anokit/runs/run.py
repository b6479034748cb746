"""One run: recipe -> data -> training -> scores -> results.json and report.html."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch

from anokit.data.preparing import prepare
from anokit.data.sets import RunData
from anokit.recipe.parts import Recipe
from anokit.registry.lookup import Registry
from anokit.report import write_report
from anokit.results.assess import assess
from anokit.results.best_on_test import BestOnTest, how_weights_were_chosen, remarks
from anokit.results.cues import explain_run
from anokit.results.exhibits import exhibits, terms_of
from anokit.results.making import make_results, score_table
from anokit.results.refined import refined, write_rejected
from anokit.results.rows import QUICK, SIMULATED, write_results
from anokit.runs.before import compare_with_former, keep_list
from anokit.runs.painting import paint_training
from anokit.scoring.judging import TrainingJudge
from anokit.store.documents import read_object
from anokit.store.finding import create, find_resumable
from anokit.store.records import PLUGIN_FILES
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import save_tensors
from anokit.training.backbone import build_backbone
from anokit.training.device import describe_device, resolve_device, threads
from anokit.training.job import Job
from anokit.training.loop import Interrupted, Trainer
from anokit.training.processes import World, joined
from anokit.training.signals import StopRequest, stop_on_signal
from anokit.training.state import State
from anokit.version import __version__
from anokit.watching import NOBODY, Watcher


def run(
    recipe: Recipe,
    registry: Registry,
    watcher: Watcher = NOBODY,
    *,
    device: str = "auto",
    out: Path | None = None,
    resume: bool = False,
    resume_from: Path | None = None,
) -> RunDirectory:
    """Carry out a recipe and return its finished run directory.

    Raises
    ------
    AnokitError
        One of its children, with what to do; what was done so far is kept.
    """
    target = resolve_device(device)
    with joined(target) as (world, target):
        if world.first:
            directory = find_resumable(recipe, resume_from) if resume else create(recipe, out)
            return _lead(recipe, registry, directory, target, world, watcher)
        world.wait()  # the first process reads or simulates the data before anybody else
        checkpoint = find_resumable(recipe, resume_from).checkpoint if resume else None
        return _help(recipe, target, world, checkpoint)


def _lead(
    recipe: Recipe,
    registry: Registry,
    directory: RunDirectory,
    device: torch.device,
    world: World,
    watcher: Watcher,
) -> RunDirectory:
    """Carry out a run in the process that writes files, shows progress and evaluates."""
    with directory.locked(), stop_on_signal() as stop:
        if directory.finished:  # and was killed before it had cleared up
            _clear_up(directory, watcher)
            return directory
        data = prepare(recipe.dataset, recipe.seed, watcher)
        if data.simulated:
            watcher.banner(SIMULATED)
        if recipe.quick:
            watcher.banner(QUICK)
        contaminated = bool(recipe.dataset.keys.contamination)
        watcher.data(data.in_words(contaminated=contaminated))
        for text in data.notices:
            watcher.notice(text)
        if directory.begun:
            directory.check_same_data(data.fingerprint)
        else:
            _write_start(directory, recipe, registry, data, device)
        watcher.begun(directory.path, _resolved(recipe), {})
        try:
            _carry_out(recipe, data, directory, device, world, watcher, stop)
        except BaseException as error:
            interrupted = isinstance(error, (KeyboardInterrupt, Interrupted))
            watcher.stopped(str(error) or type(error).__name__, interrupted=interrupted)
            raise
        watcher.finished(directory.path, read_object(directory.results))
    return directory


def _carry_out(
    recipe: Recipe,
    data: RunData,
    directory: RunDirectory,
    device: torch.device,
    world: World,
    watcher: Watcher,
    stop: StopRequest,
) -> None:
    """Train, score and report in a directory that holds what is known before."""
    backbone = build_backbone(recipe, data.spec, device)
    for text in remarks(recipe, backbone):
        watcher.banner(text)
    world.wait()
    job = Job(recipe, data, backbone, directory, device, watcher, stop, world)
    state = train(job)
    try:
        save_tensors(directory.model, backbone.module.state_dict())
        finish(job, state)
    except KeyboardInterrupt:
        if directory.finished:
            raise Interrupted(
                f"interrupted, but the run is finished: see {directory.report}"
            ) from None
        raise Interrupted(
            "interrupted: training is finished and kept; score and report with: "
            f"{directory.resume_command}"
        ) from None


def _resolved(recipe: Recipe) -> dict[str, Any]:
    return {**recipe.as_dict(), "quick": recipe.quick}


def _help(
    recipe: Recipe, device: torch.device, world: World, checkpoint: Path | None
) -> RunDirectory:
    """Train beside the first process, in a directory that nobody will look at."""
    data = prepare(recipe.dataset, recipe.seed)
    backbone = build_backbone(recipe, data.spec, device)
    with tempfile.TemporaryDirectory() as folder, stop_on_signal() as stop:
        directory = RunDirectory(Path(folder), recipe)
        directory.checkpoint = checkpoint or directory.checkpoint
        train(Job(recipe, data, backbone, directory, device, NOBODY, stop, world))
        return directory


def train(job: Job) -> State:
    """Train a job's backbone through its phases and return what it came to."""
    settings = job.recipe.training
    on_test = settings.selection == "best-on-test" and job.world.first
    phases = job.backbone.phases()
    if not phases:
        return State()
    refine = settings.refine
    judge = TrainingJudge(job, refine.score) if refine and refine.rejects else None
    trainer = Trainer(job, phases, BestOnTest(job) if on_test else None, judge)
    job.watcher.training(trainer.total_images)
    try:
        with job.stop.heed(), threads(job.recipe.training.threads):
            trainer.train()
    finally:
        job.directory.flush_metrics()
        job.watcher.done()
    return trainer.state


def finish(job: Job, state: State) -> None:
    """Score, measure, and write all that a finished run leaves."""
    directory = job.directory
    if state.refinement.shown:
        write_rejected(job, state.refinement)
    found = assess(job)
    explained = explain_run(job, found)  # before maps are painted, for which scores are fitted anew
    if job.data.test:
        directory.write_scores(score_table(job.data.test, found.columns))
    directory.write_ranking(found.ranking)
    directory.write_json("terms.json", terms_of(job))
    save_tensors(directory.exhibits, exhibits(job, found))
    paint_training(job, found)
    epoch = how_weights_were_chosen(job.recipe, directory)
    results = make_results(job, found, state.warnings, epoch)
    results = results.model_copy(
        update={
            "refined": refined(job, state.refinement),
            "files": directory.hashes(),
            "explanations": explained,
        }
    )
    if job.data.test and not results.rows[0].metrics:
        job.watcher.notice("No metrics: the test set has no labelled images of both classes.")
    compare_with_former(directory, job.data, results)
    job.watcher.notice("writing the report")
    write_report(directory.path, results)
    # Last, since a run counts as finished once it is there: nothing of it is then missing.
    write_results(directory, results)
    directory.remove_checkpoints()


def _clear_up(directory: RunDirectory, watcher: Watcher) -> None:
    """Do what a finished run had left to do when it was killed."""
    if not directory.report.exists():
        watcher.notice("writing the report")
        write_report(directory.path)
    directory.remove_checkpoints()


def _write_start(
    directory: RunDirectory,
    recipe: Recipe,
    registry: Registry,
    data: RunData,
    device: torch.device,
) -> None:
    """Write what is known before training; split.json comes last, and then the run has begun."""
    directory.write_text("recipe.toml", recipe.text)
    directory.write_json("resolved.json", _resolved(recipe))
    keep_list(directory, recipe)
    used = [plugin for plugin in registry.plugins if plugin.name in recipe.plugins]
    plugins = {
        "plugins": {plugin.name: plugin.version for plugin in used},
        PLUGIN_FILES: directory.keep_plugins(used),
    }
    directory.write_json("environment.json", plugins | _environment(recipe, data, device))
    tainted = data.train.is_contaminant
    directory.write_json(
        "split.json",
        {
            "fingerprint": data.fingerprint,
            "test_fingerprint": data.test_fingerprint,
            "spec": vars(data.spec),
            "train": len(data.train),
            "test": len(data.test) if data.test else 0,
            "contaminants": [data.train.ids[i] for i in tainted.nonzero()[0]],
            "excluded": list(data.excluded),
        },
    )


def _environment(recipe: Recipe, data: RunData, device: torch.device) -> dict[str, Any]:
    packages = ("torch", "numpy", "scikit-learn", "safetensors")
    return {
        "anokit": __version__,
        "started": dt.datetime.now(dt.UTC).isoformat(),
        "arguments": recipe.arguments,
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": describe_device(device, recipe.training.threads),
        "threads": recipe.training.threads or torch.get_num_threads(),
        "seed": recipe.seed,
        "data_fingerprint": data.fingerprint,
    }
