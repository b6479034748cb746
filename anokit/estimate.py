"""How long a run would take and how much memory, from a few timed steps on random images."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from anokit.console import duration
from anokit.device import generator, peak_memory, seed_of, threads
from anokit.errors import DataError
from anokit.feed import to_float
from anokit.models import build_model
from anokit.recipe import Recipe
from anokit.training import steps_of
from anokit.types import Batch, ImageSpec, Phase

TIMED_SECONDS = 6.0
"""About how long each phase is timed at most; a single step of a large network may take longer."""

LONG_STEP = 2.0
"""Seconds; a step that would take longer is timed on a smaller batch."""


@dataclass(frozen=True)
class Estimate:
    """Cost of training a recipe."""

    images: int
    seconds: float
    memory: int
    """bytes held at the peak of the timed steps"""
    small_batches: bool
    """whether steps were timed on smaller batches than the recipe's, to answer soon"""

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


def estimate(recipe: Recipe, spec: ImageSpec, train_images: int, device: torch.device) -> Estimate:
    """Time a few steps of every phase on random images and add up.

    Batches are cut to 8 images on a CPU where a full step would take long, as one of a published
    network takes minutes; time per image hardly depends on that there.
    """
    with threads(recipe.training.threads):
        return _estimate(recipe, spec, train_images, device)


def _estimate(recipe: Recipe, spec: ImageSpec, train_images: int, device: torch.device) -> Estimate:
    model = build_model(recipe, spec, device)
    model.backbone.train()
    seconds, images, small = 0.0, 0, False
    draws = generator(device, "estimate")
    for phase in model.typed.phases():
        steps = steps_of(phase, train_images, recipe.training.max_steps)
        batch = phase.batch_size if device.type == "cuda" else min(phase.batch_size, 8)
        phase.optimisers()
        per_step = _time_steps(phase, spec, batch, device, draws)
        if batch < phase.batch_size and per_step / batch * phase.batch_size < LONG_STEP:
            batch = phase.batch_size
            per_step = _time_steps(phase, spec, batch, device, draws)
        small |= batch < phase.batch_size
        images += steps * phase.batch_size
        seconds += per_step / batch * phase.batch_size * steps
    return Estimate(images, seconds, peak_memory(device), small)


def _time_steps(
    phase: Phase, spec: ImageSpec, count: int, device: torch.device, draws: torch.Generator
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
        if time.perf_counter() - began > TIMED_SECONDS:
            break
    return best
