"""A backbone to be checked: built with its example options, trained for a few steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from anokit.plugin import resolve_fields
from anokit.testing.backbone_training import Training, train
from anokit.testing.check import expect, fail
from anokit.testing.images import COLOUR, GREY, random_images
from anokit.testing.subject import Subject
from anokit.types import Backbone, ImageSpec, RoundTrip, WeightedLoss

__all__ = ["COLOUR", "GREY", "BackboneSubject", "random_images"]


def reconstruction(trip: RoundTrip) -> Tensor:
    """Return the encoder loss that backbones are trained with here: mean (x − x̂)²."""
    return (trip.image - trip.image_hat).square().mean()


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
        return train(self.entry, self.build(GREY), GREY)

    def trained(self, spec: ImageSpec) -> Any:
        """Return a backbone after a few steps of training, in evaluation mode."""
        if spec == GREY:
            return self.training.backbone
        return train(self.entry, self.build(spec), spec).backbone

    def trip(self, backbone: Any, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Make a round trip as anokit does, without gradients."""
        with torch.no_grad():
            trip = backbone.round_trip(images, needs)
        if not isinstance(trip, RoundTrip):
            fail(f"round_trip() returned a {type(trip).__name__}, expected anokit.RoundTrip")
        missing = needs - trip.filled()
        expect(not missing, f"asked for {sorted(needs)}: {sorted(missing)} left unfilled")
        return trip
