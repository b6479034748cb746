"""A few steps of a backbone's training, as anokit's loop takes them, and what they changed."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from anokit.data.pixels import to_uint8
from anokit.data.sets import ImageTable, all_rows
from anokit.nn import box_downscale
from anokit.registry.entries import Entry
from anokit.registry.guard import guarded, telling
from anokit.store.tensors import fill_module, pack_optimisers, unpack_optimisers
from anokit.testing.images import random_images
from anokit.training.epochs import StoredBatches
from anokit.types import Batch, EpochEnd, ImageSpec, Phase

STEPS = 2
"""Steps of every phase. After half of them, what a checkpoint would hold is laid by."""

Images = Callable[[int, int], Tensor]
"""The images ``[B, C, H, W]`` of a step, given their number and the step."""

State = dict[str, Tensor]


@dataclass
class Stand:
    """How far a phase has come, as a checkpoint keeps it."""

    model: bytes
    optimisers: bytes
    rest: dict[str, Any]
    """what of the optimisers is no tensor"""
    generator: Tensor

    @classmethod
    def of(
        cls, backbone: Any, optimisers: Mapping[str, Optimizer], generator: torch.Generator
    ) -> Stand:
        """Lay by what a checkpoint holds; nothing of it shares memory with the training."""
        tensors, rest = pack_optimisers(optimisers)
        return cls(packed(backbone.state_dict()), packed(tensors), rest, generator.get_state())

    def take_up(self, backbone: Any, phase: Phase) -> tuple[dict[str, Optimizer], torch.Generator]:
        """Fill a new backbone as a resumed run does; return what goes on with the phase."""
        weights, generator = load(self.model), torch.Generator()
        fill_module(backbone, weights, "the saved weights")
        optimisers = dict(phase.optimisers())
        fill_module(backbone, weights, "the saved weights")  # entering may have emptied buffers
        unpack_optimisers(optimisers, load(self.optimisers), self.rest)
        generator.set_state(self.generator)
        return optimisers, generator


@dataclass
class Course:
    """One phase: its middle, from which it may be resumed, and its end."""

    middle: Stand
    end: Stand
    schedulers: list[str]
    """how the schedulers of its optimisers stand at its end"""


@dataclass
class Training:
    """What a few steps of every phase gave."""

    backbone: Any
    phases: list[Phase]
    start: State
    """weights and buffers before training"""
    metrics: list[tuple[str, Mapping[str, Tensor]]] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    """one of each phase"""
    optimised: set[str] = field(default_factory=set)
    """names of the parameters that some phase optimises"""
    frozen: set[str] = field(default_factory=set)
    """names of parameters that an optimiser holds although they take no gradient"""
    reached: set[str] = field(default_factory=set)
    """names of those that a gradient reached, be it zero, as that of a Wasserstein critic's bias"""
    moved: set[str] = field(default_factory=set)
    """names of those that were changed"""
    averaged: bool = False
    """whether a step took a mean of losses through `Batch.average`"""
    written: list[str] = field(default_factory=list)
    """names of phases whose step wrote into the images that it was given"""
    told: list[str] = field(default_factory=list)
    """what a run would tell of changes to the state of the process"""


@torch.enable_grad()  # a score that is being fitted may be what asks for the training
def train(
    entry: Entry, backbone: Any, spec: ImageSpec, steps: int = STEPS, images: Images | None = None
) -> Training:
    """Run a few steps of every phase, as anokit's loop does, and note what they changed."""
    result = Training(backbone, list(backbone.phases()), copied(backbone.state_dict()))
    generator = torch.Generator().manual_seed(1)
    backbone.train()
    with telling(result.told.append):
        for phase in result.phases:
            with guarded(entry, "making optimisers", at=phase.optimisers, draws="left"):
                optimisers = dict(phase.optimisers())
            with _watching(result, optimisers):
                for step in range(steps):
                    batch = make_batch(phase, spec, step, generator, images)
                    _step(result, entry, phase, batch)
                    if step == steps // 2 - 1:
                        middle = Stand.of(backbone, optimisers, generator)
            result.metrics.append((phase.name, _end(entry, backbone, phase, spec)))
            end = Stand.of(backbone, optimisers, generator)
            if steps > 1:
                result.courses.append(Course(middle, end, schedulers_of(optimisers)))
    backbone.eval()
    return result


@torch.enable_grad()
def resume(entry: Entry, backbone: Any, spec: ImageSpec, number: int, middle: Stand) -> Course:
    """Go on with a phase in a new backbone, from its middle to its end."""
    phase = list(backbone.phases())[number]
    backbone.train()
    optimisers, generator = middle.take_up(backbone, phase)
    for step in range(STEPS // 2, STEPS):
        batch = make_batch(phase, spec, step, generator)
        with guarded(entry, f"a resumed step of {phase.name!r}", at=phase.step, draws="restored"):
            phase.step(batch)
    _end(entry, backbone, phase, spec)
    end = Stand.of(backbone, optimisers, generator)
    return Course(middle, end, schedulers_of(optimisers))


def _step(result: Training, entry: Entry, phase: Phase, batch: Batch) -> None:
    """Take one step and note what it did."""
    given, version = batch.images.clone(), batch.images._version

    def average(losses: Tensor, opposite: Tensor) -> Tensor:
        result.averaged = True
        return losses.mean()

    with guarded(entry, f"a step of {phase.name!r}", at=phase.step, draws="left"):
        metrics = phase.step(replace(batch, average=average))
    result.metrics.append((phase.name, metrics))
    if batch.images._version != version or not torch.equal(batch.images, given):
        result.written.append(phase.name)


@torch.no_grad()
def _end(entry: Entry, backbone: Any, phase: Phase, spec: ImageSpec) -> Mapping[str, Tensor]:
    """Tell a phase that its last epoch is over, as anokit's loop does; return its metrics."""
    told: Mapping[str, Tensor] | None = None
    if phase.epoch_ended is not None:
        backbone.eval()
        with guarded(entry, f"the end of {phase.name!r}", at=phase.epoch_ended, draws="restored"):
            told = phase.epoch_ended(epoch_end(phase, spec))
        backbone.train()
    return told or {}


def epoch_end(phase: Phase, spec: ImageSpec) -> EpochEnd:
    """Return what a phase is told after its last step: six images shown, four held out."""

    def stored(count: int, seed: int) -> StoredBatches:
        table = ImageTable([to_uint8(random_images(count, spec, seed))])
        rows = all_rows(count)
        return StoredBatches(table, rows, phase.batch_size, phase.resolution, torch.device("cpu"))

    return EpochEnd(stored(6, 20), stored(4, 21), last=True)


@contextmanager
def _watching(result: Training, optimisers: Mapping[str, Optimizer]) -> Iterator[None]:
    """Note which parameters a phase optimises, reaches and moves."""
    names = {id(value): name for name, value in result.backbone.named_parameters()}
    groups = [group for one in optimisers.values() for group in one.param_groups]
    listed = [p for group in groups for p in group["params"] if id(p) in names]
    result.frozen |= {names[id(p)] for p in listed if not p.requires_grad}
    listed = [p for p in listed if p.requires_grad]
    before = [p.detach().clone() for p in listed]
    note = partial(_note, result.reached, names)
    hooks = [p.register_post_accumulate_grad_hook(note) for p in listed]
    yield
    for hook in hooks:
        hook.remove()
    result.optimised |= {names[id(p)] for p in listed}
    result.moved |= {
        names[id(p)] for p, old in zip(listed, before, strict=True) if not torch.equal(p, old)
    }


def _note(reached: set[str], names: Mapping[int, str], parameter: Tensor) -> None:
    reached.add(names[id(parameter)])


def schedulers_of(optimisers: Mapping[str, Optimizer]) -> list[str]:
    """Return how the learning-rate schedulers of some optimisers stand, whoever holds them."""
    held = {id(optimiser) for optimiser in optimisers.values()}
    found = [one for one in gc.get_objects() if issubclass(type(one), LRScheduler)]
    return sorted(
        f"{type(one).__name__} at step {one.last_epoch}"
        for one in found
        if id(getattr(one, "optimizer", None)) in held
    )


def make_batch(
    phase: Phase,
    spec: ImageSpec,
    step: int,
    generator: torch.Generator,
    images: Images | None = None,
) -> Batch:
    """Return what a training step gets, ``progress`` in the middle of its share."""
    size = phase.batch_size
    given = images(size, step) if images else random_images(size, spec, seed=10 + step)
    if phase.resolution:
        given = box_downscale(given, math.ceil(spec.height / phase.resolution))
    progress = (step + 0.5) / STEPS
    return Batch(given, torch.arange(size), step, progress, generator)


def copied(state: Mapping[str, Tensor]) -> State:
    """Return a state whose tensors share no memory with anything, on the CPU."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def packed(state: Mapping[str, Tensor]) -> bytes:
    """Return a state as a safetensors file holds it."""
    return save(copied(state))
