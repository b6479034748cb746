"""Build the components of a recipe that need torch: backbone, encoder losses, scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from anokit import checkpoints
from anokit.device import seed_of
from anokit.errors import PluginError
from anokit.faults import blame
from anokit.plugin import resolve_fields
from anokit.recipe import Part, Recipe
from anokit.types import Backbone, ImageSpec, RoundTrip, Score, WeightedLoss


class Model(nn.Module):
    """A recipe's backbone on a device, with the checks that the core owes its plugins."""

    def __init__(self, part: Part, backbone: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.backbone = backbone

    @property
    def typed(self) -> Backbone:
        """Return the backbone as its protocol."""
        return cast("Backbone", self.backbone)

    @property
    def batch_dependence(self) -> str:
        """Return how scores depend on the batch, as an option asked for; empty as it should be."""
        return str(getattr(self.backbone, "batch_dependence", None) or "")

    def round_trip(
        self,
        images: torch.Tensor,
        needs: frozenset[str],
        progress: Callable[[float], None] | None = None,
    ) -> RoundTrip:
        """Make a trip from images and make sure that every field in ``needs`` is filled.

        A backbone with an attribute ``progress`` is handed this one for the length of the trip.
        """
        if needs <= {"image"}:
            return RoundTrip(image=images)
        with blame(self.part.entry, "making a round trip"), self._telling(progress):
            trip = self.typed.round_trip(images, needs)
        if missing := needs - trip.filled():
            raise PluginError(
                f"backbone {self.part.entry.qualified!r} was asked for {', '.join(sorted(needs))} "
                f"and left {', '.join(sorted(missing))} unfilled; this is a fault of the plugin"
            )
        return trip

    @contextmanager
    def _telling(self, progress: Callable[[float], None] | None) -> Iterator[None]:
        if progress is None or not hasattr(self.backbone, "progress"):
            yield
            return
        teller = cast("Any", self.backbone)
        teller.progress = progress
        try:
            yield
        finally:
            teller.progress = None


def build_model(
    recipe: Recipe, spec: ImageSpec, device: torch.device, *, restored: bool = False
) -> Model:
    """Build the recipe's backbone with weights drawn from its seed, the same on every device.

    ``restored``: weights of a finished run will be read into it, so it need not find its own.
    """
    part = recipe.backbone
    changes = part.entry.component.restored if restored else {}
    options = part.options.model_copy(update=dict(changes))
    losses = build_losses(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.seed, "weights"))
        with blame(part.entry, "being built"):
            backbone = part.entry.component.load()(options, spec, losses)
    if not isinstance(backbone, nn.Module) or not isinstance(backbone, Backbone):
        raise PluginError(
            f"backbone {part.entry.qualified!r} built a {type(backbone).__name__}; expected a "
            "torch.nn.Module with phases() and round_trip()"
        )
    return Model(part, backbone.to(device)).eval()


def load_model(recipe: Recipe, spec: ImageSpec, device: torch.device, weights: Path) -> Model:
    """Build the backbone of a finished run and read its weights.

    Raises
    ------
    CheckpointError
        Where the file is damaged or does not fit.
    """
    model = build_model(recipe, spec, device, restored=True)
    checkpoints.load_module(model.backbone, weights)
    return model


def build_losses(recipe: Recipe) -> tuple[WeightedLoss, ...]:
    """Build the recipe's encoder losses."""
    found = []
    for part in recipe.encoder_losses:
        component = part.entry.component
        with blame(part.entry, "being built"):
            loss = component.load()(part.options)
        needs = resolve_fields(component.needs, part.options)
        found.append(
            WeightedLoss(component.name, part.weight, loss, needs, component.trip_from or "image")
        )
    return tuple(found)


def build_score(part: Part, device: torch.device) -> Score:
    """Build one score; one that is a module is put on the device."""
    with blame(part.entry, "being built"):
        score = part.entry.component.load()(part.options)
    return cast("Score", score.to(device) if isinstance(score, nn.Module) else score)
