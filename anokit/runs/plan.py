"""``--dry-run``: what a run would cost, from a few timed steps on random images."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from anokit.data.pixels import to_float
from anokit.data.preparing import open_dataset
from anokit.errors import DataError, MissingDataError
from anokit.plugin import Component
from anokit.recipe.parts import DatasetPart, Recipe
from anokit.training.backbone import build_backbone
from anokit.training.device import (
    describe_device,
    generator,
    peak_memory,
    resolve_device,
    seed_of,
    threads,
)
from anokit.training.schedule import steps_of
from anokit.types import Batch, ImageSpec, Phase
from anokit.watching import duration

TIMED_SECONDS = 6.0
"""About how long each phase is timed at most; a single step of a large network may take longer."""

LONG_STEP = 2.0
"""Seconds; a step that would take longer is timed on a smaller batch."""

ASSUMED_TRAIN_IMAGES = 1000
"""Size of a training set that is not there to be counted."""


@dataclass(frozen=True)
class Cost:
    """Cost of training a recipe."""

    images: int
    seconds: float
    memory: int
    """bytes held at the peak of the timed steps"""
    small_batches: bool
    """whether steps were timed on smaller batches than the recipe's, to answer soon"""
    weights: int = 0
    """bytes of the model's file"""

    def __str__(self) -> str:
        """Return one line in words."""
        if not self.images:
            return "nothing to train"
        memory = f"about {self.memory / 2**30:.1f} GiB of memory"
        if self.small_batches:
            memory = f"at least {self.memory / 2**30:.1f} GiB of memory (timed on small batches)"
        return f"{_count(self.images)} images, about {duration(self.seconds)}, {memory}"


def _count(images: int) -> str:
    return f"{images / 1e6:.2f} M" if images >= 1e6 else f"{images:,}"


def cost_of(
    recipe: Recipe,
    spec: ImageSpec,
    train_images: int,
    device: torch.device,
    patience: float = TIMED_SECONDS,
) -> Cost:
    """Time a few steps of every phase on random images and add up.

    Batches are cut to 8 images on a CPU where a full step would take long, as one of a published
    network takes minutes; time per image hardly depends on that there. A phase is timed for about
    ``patience`` seconds, at least one step.
    """
    with threads(recipe.training.threads):
        return _cost_of(recipe, spec, train_images, device, patience)


def _cost_of(
    recipe: Recipe, spec: ImageSpec, train_images: int, device: torch.device, patience: float
) -> Cost:
    backbone = build_backbone(recipe, spec, device)
    backbone.module.train()
    seconds, images, small = 0.0, 0, False
    draws = generator(device, "estimate")
    shown = train_images - int(recipe.training.validation * train_images)
    for phase in backbone.phases():
        steps = steps_of(phase, shown, recipe.training.max_steps)
        batch = phase.batch_size if device.type == "cuda" else min(phase.batch_size, 8)
        phase.optimisers()
        per_step = _time_steps(phase, spec, batch, device, draws, patience)
        if batch < phase.batch_size and per_step / batch * phase.batch_size < LONG_STEP:
            batch = phase.batch_size
            per_step = _time_steps(phase, spec, batch, device, draws, patience)
        small |= batch < phase.batch_size
        images += steps * phase.batch_size
        seconds += per_step / batch * phase.batch_size * steps
    if recipe.training.refine and recipe.training.refine.afresh:
        images, seconds = 2 * images, 2 * seconds
    weights = sum(one.nbytes for one in backbone.module.state_dict().values())
    return Cost(images, seconds, peak_memory(device), small, weights)


def _time_steps(
    phase: Phase,
    spec: ImageSpec,
    count: int,
    device: torch.device,
    draws: torch.Generator,
    patience: float,
) -> float:
    """Return the seconds of one step, the fastest of several."""
    size = (phase.resolution, phase.resolution) if phase.resolution else (spec.height, spec.width)
    if spec.height % size[0]:
        raise DataError(f"phase {phase.name!r}: {spec} images have no {size[0]} px version")
    best, began = float("inf"), time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("estimate"))
        pixels = torch.randint(0, 256, (count, spec.channels, *size), dtype=torch.uint8)
    images = to_float(pixels.to(device))
    for number in range(5):
        started = time.perf_counter()
        phase.step(Batch(images, torch.arange(count), number, 0.5, draws))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
        if time.perf_counter() - began > patience:
            break
    return best


def plan(recipe: Recipe, device: str) -> str:
    """Return what training would cost, in one or two sentences.

    Raises
    ------
    MissingDataError
        Where the data are missing, nothing stands in for them, and the options do not tell the
        shape of the images.
    """
    target = resolve_device(device)
    spec, count, remark = shape_and_count(recipe.dataset)
    cost = cost_of(recipe, spec, count, target)
    text = f"Training on {describe_device(target, recipe.training.threads)}: {cost}."
    if not recipe.quick and recipe.path.exists() and "[quick]" in recipe.text:
        text += f" A small version: anokit run {recipe.given or recipe.path} --quick"
    if recipe.training.refine and recipe.training.refine.rejects:
        text += " Judging the training images between is not in it."
    return f"{text}{remark}"


def shape_and_count(dataset: DatasetPart) -> tuple[ImageSpec, int, str]:
    """Return the images' shape, the size of the training set and what to say about them."""
    component: Component = dataset.entry.component
    without_simulation = DatasetPart(dataset.entry, dataset.options)
    try:
        source, _ = open_dataset(without_simulation)
    except MissingDataError:
        spec = component.image_spec(dataset.options) if component.image_spec else None
        if spec is None or dataset.keys.when_missing != "simulate":
            raise
        remark = f"\nThe data are not on this machine: the run would simulate them ({spec})."
        return spec, ASSUMED_TRAIN_IMAGES, remark
    return source.spec, len(source.train), ""
