"""A backbone to be checked: built with its example options, trained for a few steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from anokit.data.pixels import to_uint8
from anokit.data.sets import ImageTable, all_rows
from anokit.nn import box_downscale
from anokit.plugin import resolve_fields
from anokit.testing.check import expect, fail
from anokit.testing.subject import Subject
from anokit.training.epochs import StoredBatches
from anokit.types import Backbone, Batch, EpochEnd, ImageSpec, Phase, RoundTrip, WeightedLoss

GREY, COLOUR = ImageSpec(1, 32, 32), ImageSpec(3, 64, 64)
"""The two shapes that every backbone is tried on."""

STEPS = 2
"""Steps of every phase."""


def random_images(count: int, spec: ImageSpec, seed: int = 0) -> Tensor:
    """Return smooth random images ``[B, C, H, W]`` in [-1, 1]."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, spec.channels, spec.height // 8, spec.width // 8, generator=source)
    fine = torch.rand(count, spec.channels, spec.height, spec.width, generator=source)
    return 1.6 * coarse.repeat_interleave(8, -1).repeat_interleave(8, -2) + 0.4 * fine - 1


def reconstruction(trip: RoundTrip) -> Tensor:
    """Return the encoder loss that backbones are trained with here: mean (x − x̂)²."""
    return (trip.image - trip.image_hat).square().mean()


@dataclass
class Training:
    """What a few steps of every phase gave."""

    backbone: Any
    phases: list[Phase]
    metrics: list[tuple[str, Mapping[str, Tensor]]] = field(default_factory=list)
    optimised: set[str] = field(default_factory=set)
    """names of the parameters that some phase optimises"""
    reached: set[str] = field(default_factory=set)
    """names of those that a gradient reached, be it zero, as that of a Wasserstein critic's bias"""
    moved: set[str] = field(default_factory=set)
    """names of those that were changed"""
    averaged: bool = False
    """whether a step took a mean of losses through `Batch.average`"""


@dataclass(frozen=True)
class BackboneSubject(Subject):
    """A backbone, with an encoder loss for each start of a trip that it can train from."""

    def build(self, spec: ImageSpec, seed: int = 0) -> Any:
        """Build the backbone for images of a shape, its weights drawn from a seed."""
        needs = frozenset({"image", "image_hat"})
        losses = tuple(
            WeightedLoss("check", 1.0, reconstruction, needs, start)
            for start in sorted(resolve_fields(self.entry.component.trips, self.options))
        )
        backbone = self.make(spec, losses, seed=seed)
        if not isinstance(backbone, nn.Module) or not isinstance(backbone, Backbone):
            fail(
                f"the factory built a {type(backbone).__name__}, expected a torch.nn.Module with "
                "phases() and round_trip()"
            )
        return backbone.eval()

    @cached_property
    def training(self) -> Training:
        """Return a training on grey images that several checks look at."""
        return train(self.build(GREY), GREY)

    def trained(self, spec: ImageSpec) -> Any:
        """Return a backbone after a few steps of training, in evaluation mode."""
        return self.training.backbone if spec == GREY else train(self.build(spec), spec).backbone

    def trip(self, backbone: Any, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Make a round trip as anokit does, without gradients."""
        with torch.no_grad():
            trip = backbone.round_trip(images, needs)
        if not isinstance(trip, RoundTrip):
            fail(f"round_trip() returned a {type(trip).__name__}, expected anokit.RoundTrip")
        missing = needs - trip.filled()
        expect(not missing, f"asked for {sorted(needs)}: {sorted(missing)} left unfilled")
        return trip


@torch.enable_grad()  # a score that is being fitted may be what asks for the training
def train(backbone: Any, spec: ImageSpec) -> Training:
    """Run a few steps of every phase, as anokit's loop does, and note what they changed."""
    result = Training(backbone, list(backbone.phases()))
    generator = torch.Generator().manual_seed(1)
    backbone.train()

    def average(losses: Tensor, opposite: Tensor) -> Tensor:
        result.averaged = True
        return losses.mean()

    for phase in result.phases:
        names = {id(value): name for name, value in backbone.named_parameters()}
        groups = [g for o in phase.optimisers().values() for g in o.param_groups]
        listed = [p for group in groups for p in group["params"] if id(p) in names]
        before = [p.detach().clone() for p in listed]
        note = partial(_note, result.reached, names)
        hooks = [p.register_post_accumulate_grad_hook(note) for p in listed]
        for step in range(STEPS):
            batch = replace(make_batch(phase, spec, step, generator), average=average)
            result.metrics.append((phase.name, phase.step(batch)))
        for hook in hooks:
            hook.remove()
        if phase.epoch_ended:
            backbone.eval()
            with torch.no_grad():
                told = phase.epoch_ended(epoch_end(phase, spec))
            result.metrics.append((phase.name, told or {}))
            backbone.train()
        result.optimised |= {names[id(p)] for p in listed}
        result.moved |= {
            names[id(p)] for p, old in zip(listed, before, strict=True) if not torch.equal(p, old)
        }
    backbone.eval()
    return result


def _note(reached: set[str], names: Mapping[int, str], parameter: Tensor) -> None:
    reached.add(names[id(parameter)])


def epoch_end(phase: Phase, spec: ImageSpec) -> EpochEnd:
    """Return what a phase is told after its last step: six images shown, four held out."""

    def stored(count: int, seed: int) -> StoredBatches:
        table = ImageTable([to_uint8(random_images(count, spec, seed))])
        rows = all_rows(count)
        return StoredBatches(table, rows, phase.batch_size, phase.resolution, torch.device("cpu"))

    return EpochEnd(stored(6, 20), stored(4, 21), last=True)


def make_batch(phase: Phase, spec: ImageSpec, step: int, generator: torch.Generator) -> Batch:
    """Return what a training step gets, ``progress`` in the middle of its share."""
    images = random_images(phase.batch_size, spec, seed=10 + step)
    if phase.resolution:
        images = box_downscale(images, math.ceil(spec.height / phase.resolution))
    progress = (step + 0.5) / STEPS
    return Batch(images, torch.arange(phase.batch_size), step, progress, generator)
