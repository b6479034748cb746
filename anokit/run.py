"""One run: recipe -> data -> training -> scores -> results.json and report.html."""

from __future__ import annotations

import importlib.metadata
import platform
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from anokit import assess, checkpoints, selection
from anokit.console import Console
from anokit.datasets import RunData, prepare
from anokit.device import describe_device, generator, resolve_device, seed_of, threads
from anokit.distributed import World, joined
from anokit.errors import CheckpointError
from anokit.faults import blame
from anokit.feed import Feed
from anokit.models import Model, build_model
from anokit.recipe import Recipe
from anokit.registry import Registry
from anokit.rundir import RunDirectory, create, find_resumable
from anokit.scoring import Scorer
from anokit.signals import StopRequest, stop_on_signal
from anokit.training import Interrupted, Trainer
from anokit.version import __version__

SIMULATED = (
    "SIMULATED DATA: the named data set is not on this machine, so drawn images stand in for it. "
    "These figures say nothing about the real data set."
)


def run(
    recipe: Recipe,
    registry: Registry,
    console: Console,
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
        return _run(recipe, registry, console, target, world, out, resume, resume_from)


def _run(
    recipe: Recipe,
    registry: Registry,
    console: Console,
    target: torch.device,
    world: World,
    out: Path | None,
    resume: bool,
    resume_from: Path | None,
) -> RunDirectory:
    """Do what `run` says, in one of one or several processes."""
    if not world.first:
        return _help_train(recipe, console, target, world, resume, resume_from)
    directory = find_resumable(recipe, resume_from) if resume else create(recipe, out)
    with directory.locked(), stop_on_signal() as stop:
        data = prepare(recipe.dataset, recipe.seed, console.notice)
        if data.simulated:
            console.banner(SIMULATED)
        console.data(recipe, data)
        if resume:
            _check_same_data(directory, data)
        else:
            _write_start(directory, recipe, registry, data, target)
        model = build_model(recipe, data.spec, target)
        for text in selection.remarks(recipe, model):
            console.banner(text)
        world.wait()
        warnings = train(recipe, data, model, directory, console, target, stop, world)
        checkpoints.save_tensors(directory.model, model.backbone.state_dict())
        try:
            finish(recipe, data, model, directory, console, target, warnings)
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted: training is finished and kept; score and report with: "
                f"{directory.resume_command}"
            ) from None
    return directory


def _help_train(
    recipe: Recipe,
    console: Console,
    target: torch.device,
    world: World,
    resume: bool,
    resume_from: Path | None,
) -> RunDirectory:
    """Train beside the first process, which alone writes files, shows progress and evaluates."""
    console.silence()
    world.wait()  # the first process reads or simulates the data before anybody else
    data = prepare(recipe.dataset, recipe.seed)
    model = build_model(recipe, data.spec, target)
    with tempfile.TemporaryDirectory() as folder, stop_on_signal() as stop:
        directory = find_resumable(recipe, resume_from) if resume else None
        own = RunDirectory(Path(folder), recipe)
        if directory:
            own.checkpoint = directory.checkpoint
        train(recipe, data, model, own, console, target, stop, world)
        return own


def train(
    recipe: Recipe,
    data: RunData,
    model: Model,
    directory: RunDirectory,
    console: Console,
    device: torch.device,
    stop: StopRequest,
    world: World,
) -> list[str]:
    """Train a model through its phases and return the warnings that came up."""
    entry = recipe.backbone.entry
    with blame(entry, "planning its training"):
        phases = list(model.typed.phases())
    if not phases:
        return []
    best_on_test = recipe.training.selection == "best-on-test" and world.first
    trainer = Trainer(
        model.backbone,
        phases,
        Feed(data.train.images, device, seed_of(recipe.seed, "order")),
        recipe.training,
        generator(device, recipe.seed, "training", *([world.rank] if world.rank else [])),
        directory,
        console,
        stop,
        world,
        select_on_test(recipe, data, model, device, directory) if best_on_test else None,
        partial(blame, entry, "being trained"),
    )
    console.training(trainer.total_images)
    try:
        with stop.heed(), threads(recipe.training.threads):
            trainer.train()
    finally:
        directory.flush_metrics()
        console.training_done()
    return trainer.warnings


def select_on_test(
    recipe: Recipe, data: RunData, model: Model, device: torch.device, directory: RunDirectory
) -> selection.BestOnTest:
    """Return what keeps the weights that do best on the test set; reads test labels."""
    scorer = Scorer([recipe.primary], model, device, recipe.evaluation.batch_size, recipe.seed)
    return selection.BestOnTest(recipe, data, model, scorer, directory)


def finish(
    recipe: Recipe,
    data: RunData,
    model: Model,
    directory: RunDirectory,
    console: Console,
    device: torch.device,
    warnings: Sequence[str],
) -> None:
    """Score, measure, and write all that a finished run leaves."""
    from anokit.report import write_report

    found = assess.assess(recipe, data, model, device, directory.scores, console.track)
    console.track_done()
    assess.write_assessment(found, data, directory.path)
    epoch = selection.how_weights_were_chosen(recipe, directory)
    results = make_results(recipe, data, found, [*warnings, *found.warnings], epoch)
    if not results["rows"][0]["metrics"]:
        console.notice("No metrics: the test set has no labelled images of both classes.")
    # The report reads results.json; a run counts as finished once that file has its own name.
    directory.write_json("results.json", results)
    console.notice("writing the report")
    write_report(directory.path)
    directory.checkpoint.unlink(missing_ok=True)
    directory.best.unlink(missing_ok=True)
    if directory.checkpoint.parent.is_dir():
        directory.checkpoint.parent.rmdir()
    console.results(results, directory)


def make_results(
    recipe: Recipe,
    data: RunData,
    found: assess.Assessment,
    warnings: Sequence[str],
    epoch: str = selection.LAST,
) -> dict[str, Any]:
    """Return the content of results.json; ``epoch`` says how the weights were chosen."""
    whole = not (recipe.quick or data.simulated or recipe.training.max_steps)
    rows = [dict(row, published=row["published"] if whole else None) for row in found.rows]
    labels = data.test.labels if data.test else None
    notices = [*recipe.notices, *data.notices]
    if data.simulated:
        notices.insert(0, SIMULATED)
    if recipe.training.max_steps:
        notices.append(
            f"every phase stopped after {recipe.training.max_steps} steps: the figures mean nothing"
        )
    return {
        "anokit": __version__,
        "title": recipe.title,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "quick": recipe.quick,
        "data": "simulated" if data.simulated else "real",
        "protocol": data.protocol,
        "contamination": recipe.dataset.contamination,
        "primary": recipe.primary.name,
        "notices": notices,
        "warnings": list(warnings),
        "selection": {
            "epoch": epoch,
            "threshold": found.threshold_rule,
        },
        "train_images": len(data.train),
        "contaminants": int(data.train.is_contaminant.sum()),
        "test_normal": 0 if labels is None else int((labels == 0).sum()),
        "test_anomalous": 0 if labels is None else int((labels == 1).sum()),
        "published_source": recipe.published_source if whole and recipe.published else None,
        "interval": f"95 % stratified bootstrap over test images, {recipe.evaluation.resamples} "
        "resamples; one training run, so the spread between seeds is not in it",
        "rows": rows,
    }


def _write_start(
    directory: RunDirectory,
    recipe: Recipe,
    registry: Registry,
    data: RunData,
    device: torch.device,
) -> None:
    """Write what is known before training: recipe, environment, the split."""
    directory.write_text("recipe.toml", recipe.text)
    directory.write_json("resolved.json", {**recipe.as_dict(), "quick": recipe.quick})
    directory.write_json("environment.json", _environment(recipe, registry, data, device))
    tainted = data.train.is_contaminant
    directory.write_json(
        "split.json",
        {
            "fingerprint": data.fingerprint,
            "spec": vars(data.spec),
            "train": len(data.train),
            "test": len(data.test) if data.test else 0,
            "contaminants": [data.train.ids[i] for i in tainted.nonzero()[0]],
        },
    )
    for plugin in registry.plugins:
        if plugin.file:
            directory.write_text(plugin.file.name, plugin.file.read_text(encoding="utf-8"))


def _environment(
    recipe: Recipe, registry: Registry, data: RunData, device: torch.device
) -> dict[str, Any]:
    parts = [recipe.dataset, recipe.backbone, *recipe.encoder_losses]
    parts += [t for score in (*recipe.scores, *recipe.baselines) for t in score.terms]
    used = {part.entry.plugin for part in parts}
    packages = ("torch", "numpy", "scikit-learn", "safetensors")
    return {
        "anokit": __version__,
        "plugins": {p.name: p.version for p in registry.plugins if p.name in used},
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": describe_device(device, recipe.training.threads),
        "threads": recipe.training.threads or torch.get_num_threads(),
        "seed": recipe.seed,
        "data_fingerprint": data.fingerprint,
    }


def _check_same_data(directory: RunDirectory, data: RunData) -> None:
    stored: Mapping[str, Any] = directory.read_json("split.json")
    if stored["fingerprint"] != data.fingerprint:
        raise CheckpointError(
            f"{directory.path}: the data changed since this run began (fingerprint "
            f"{stored['fingerprint'][:12]}, now {data.fingerprint[:12]}); restore it or run anew"
        )
