"""One run: recipe -> data -> training -> scores -> results.json and report.html."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from anokit.data.preparing import prepare
from anokit.data.sets import RunData
from anokit.errors import CheckpointError, DataError, Interrupted, RecipeError
from anokit.recipe.parts import Recipe
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry
from anokit.report.html import write_report
from anokit.results.best_on_test import BestOnTest, remarks
from anokit.results.rows import QUICK, SIMULATED, read_results
from anokit.runs.before import list_of
from anokit.runs.noting import noting
from anokit.runs.recording import note_resumption, resolved, write_start
from anokit.runs.room import check_batches, within_memory
from anokit.runs.scoring import finish, raise_if_failed, with_command
from anokit.scoring.judging import TrainingJudge
from anokit.scoring.probing import try_out
from anokit.store.documents import read_object
from anokit.store.finding import create, find_resumable
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import save_tensors
from anokit.store.undo import put_back
from anokit.training.backbone import build_backbone
from anokit.training.device import resolve_device, threads
from anokit.training.job import Job
from anokit.training.loop import Trainer
from anokit.training.processes import World, joined
from anokit.training.signals import StopRequest, stop_on_signal
from anokit.training.state import State
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
        begun = find_resumable(recipe, resume_from) if resume else None
        return _help(recipe, target, world, begun)


def _lead(
    recipe: Recipe,
    registry: Registry,
    directory: RunDirectory,
    device: torch.device,
    world: World,
    watcher: Watcher,
) -> RunDirectory:
    """Carry out a run in the process that writes files, shows progress and evaluates."""
    put_back(directory)
    with directory.locked(), stop_on_signal() as stop, noting(watcher) as told:
        if directory.finished and not directory.some_failed:  # and was killed before it cleared up
            _clear_up(directory, watcher)
            return directory
        with within_memory(recipe, device):
            data = prepare(recipe.dataset, recipe.seed, watcher, kept_list=list_of(directory))
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
            recipe = _named_as_begun(recipe, directory)
            note_resumption(directory, recipe, registry, device)
        else:
            write_start(directory, recipe, registry, data, device)
        watcher.begun(directory.path, resolved(recipe), {})
        try:
            _carry_out(recipe, registry, data, directory, device, world, watcher, stop, told)
        except BaseException as error:
            interrupted = isinstance(error, (KeyboardInterrupt, Interrupted))
            watcher.stopped(str(error) or type(error).__name__, interrupted=interrupted)
            if isinstance(error, (DataError, RecipeError)):  # which is mended by other data
                directory.let_go()
            raise
        watcher.finished(directory.path, read_object(directory.results))
        rows = [row for row in read_results(directory).rows if not row.added]
        failed = {row.name: row.failed for row in rows if row.failed}
        raise_if_failed(directory, failed, directory.resume_command)
    return directory


def _named_as_begun(recipe: Recipe, directory: RunDirectory) -> Recipe:
    """Return a recipe by the name that the run began with: it may be resumed by the copy in it."""
    try:
        name = directory.environment().recipe
    except CheckpointError:  # a record for people, which stops no run
        name = None
    return replace(recipe, path=Path(f"{name}.toml")) if name else recipe


def _carry_out(
    recipe: Recipe,
    registry: Registry,
    data: RunData,
    directory: RunDirectory,
    device: torch.device,
    world: World,
    watcher: Watcher,
    stop: StopRequest,
    told: list[str],
) -> None:
    """Train, score and report in a directory that holds what is known before.

    ``told`` holds what is told of plugins meanwhile, for the results.
    """
    try:
        with within_memory(recipe, device, hold=True):
            backbone = build_backbone(recipe, data.spec, device)
            for text in remarks(recipe, backbone):
                watcher.banner(text)
            world.wait()
            job = Job(recipe, data, backbone, directory, device, watcher, stop, world)
            try_out(job)
            state = train(job)
            _finish_unless_interrupted(job, registry, state, told)
    except PluginFault as fault:
        raise with_command(fault, directory) from fault.__cause__


def _finish_unless_interrupted(job: Job, registry: Registry, state: State, told: list[str]) -> None:
    directory = job.directory
    try:
        save_tensors(directory.model, job.backbone.module.state_dict())
        finish(job, registry, state, told)
    except KeyboardInterrupt:
        if directory.finished:
            raise Interrupted(
                f"interrupted, but the run is finished: see {directory.report}"
            ) from None
        raise Interrupted(
            "interrupted: training is finished and kept; score and report with: "
            f"{directory.resume_command}"
        ) from None


def _help(
    recipe: Recipe, device: torch.device, world: World, begun: RunDirectory | None
) -> RunDirectory:
    """Train beside the first process, in a directory that nobody will look at."""
    kept = list_of(begun) if begun else None
    data = prepare(recipe.dataset, recipe.seed, kept_list=kept)
    backbone = build_backbone(recipe, data.spec, device)
    with tempfile.TemporaryDirectory() as folder, stop_on_signal() as stop:
        directory = RunDirectory(Path(folder), recipe)
        directory.checkpoint = begun.checkpoint if begun else directory.checkpoint
        train(Job(recipe, data, backbone, directory, device, NOBODY, stop, world))
        return directory


def train(job: Job) -> State:
    """Train a job's backbone through its phases and return what it came to."""
    settings = job.recipe.training
    on_test = settings.selection == "best-on-test" and job.world.first
    phases = job.backbone.phases()
    if not phases:
        return State()
    check_batches(phases, job.data.spec, job.device)
    refine = settings.refine
    judge = TrainingJudge(job, refine.score) if refine and refine.rejects else None
    trainer = Trainer(job, phases, BestOnTest(job) if on_test else None, judge)
    job.watcher.training(trainer.total_images)
    if held := len(job.held_out):
        job.watcher.notice(f"{held:,} of {len(job.data.train):,} training images are held out")
    try:
        with job.stop.heed(), threads(job.recipe.training.threads):
            trainer.train()
    finally:
        job.directory.flush_metrics()
        job.watcher.done()
    return trainer.state


def _clear_up(directory: RunDirectory, watcher: Watcher) -> None:
    """Do what a finished run had left to do when it was killed."""
    if not directory.report.exists():
        watcher.notice("writing the report")
        write_report(directory.path)
    directory.remove_checkpoints()
