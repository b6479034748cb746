"""The backbone of a recipe, built and guarded: the one place where the core calls one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from anokit.errors import PluginError
from anokit.nn import autocast, tf32
from anokit.plugin import resolve_fields
from anokit.recipe.parts import Part, Recipe
from anokit.registry.blame import PluginFault, blame, place_of, who
from anokit.registry.entries import Entry
from anokit.registry.guard import Draws, Unwritten, guarded, tell
from anokit.store.tensors import load_module
from anokit.training.device import seed_of
from anokit.types import Backbone, EncoderLoss, ImageSpec, Phase, RoundTrip, WeightedLoss


class GuardedBackbone:
    """A recipe's backbone on a device, called with the care that the core owes its plugins.

    Trips are made in float32 whatever training had set: without gradients, autocast and TF32. Every
    field arrives as contiguous float32, so that no score depends on a layout in memory. What the
    backbone's own code raises is blamed on its plugin.
    """

    def __init__(self, part: Part, module: nn.Module, losses: Sequence[WeightedLoss] = ()) -> None:
        self.part = part
        self.module = module
        self.losses = losses

    @property
    def typed(self) -> Backbone:
        """Return the backbone as its protocol."""
        return cast("Backbone", self.module)

    @property
    def batch_dependence(self) -> str:
        """Return how scores depend on the batch, as an option asked for; empty as it should be."""
        return str(getattr(self.module, "batch_dependence", None) or "")

    @property
    def searches(self) -> bool:
        """Return whether a trip is a search, which takes long: it tells how far it is."""
        return hasattr(self.module, "progress")

    def blaming(self, doing: str) -> AbstractContextManager[None]:
        """Return the context in which the backbone's own code runs."""
        return blame(self.part.entry, doing)

    def guarding(
        self, doing: str, at: Any = None, *, draws: Draws = "told", generators: bool = True
    ) -> AbstractContextManager[None]:
        """Return the same, which also puts the state of the process back: `guarded`."""
        return guarded(self.part.entry, doing, at=at, draws=draws, generators=generators)

    def fills(self, name: str) -> bool:
        """Return whether the backbone can fill a field of a round trip."""
        return name in resolve_fields(self.part.entry.component.provides, self.part.options)

    def phases(self) -> list[Phase]:
        """Return what is trained, in order."""
        with self.blaming("planning its training"):
            return list(self.typed.phases())

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
        entry, at, doing = self.part.entry, self.typed.round_trip, "making a round trip"
        given, mode = images.float(), self.module.training
        with (
            exact_arithmetic(images.device),
            guarded(entry, doing, {"the images": given}, at=at),
            self._telling(progress),
        ):
            trip = at(given, needs)
        if self.module.training != mode:
            self.module.train(mode)
            tell(f"{who(entry)} left its mode of evaluation while {doing} ({place_of(at)})")
        if not isinstance(trip, RoundTrip):
            raise PluginFault(
                f"{who(entry)} returned a {type(trip).__name__}, expected anokit.RoundTrip, while "
                f"{doing} ({place_of(at)})"
            )
        if missing := needs - trip.filled():
            raise PluginFault(
                f"{who(entry)} was asked for {', '.join(sorted(needs))} and left "
                f"{', '.join(sorted(missing))} unfilled while {doing} ({place_of(at)})"
            )
        with self.blaming(doing):
            return trip.map(_plain)

    def samples(self, count: int, generator: torch.Generator) -> torch.Tensor | None:
        """Return generated images ``[count, C, H, W]``, or None where the backbone makes none."""
        draw = getattr(self.module, "samples", None)
        if draw is None:
            return None
        with exact_arithmetic(generator.device), self.guarding("drawing samples", draw):
            images: torch.Tensor = draw(count, generator)
        return images.float()

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong to the backbone in a logged step."""
        notice = getattr(self.module, "warnings", None)
        if notice is None:
            return []
        with self.guarding("looking at its metrics", notice):
            return [str(text) for text in notice(dict(metrics))]

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the backbone into evaluation mode, and back into the mode that it was in."""
        training = self.module.training
        self.module.eval()
        try:
            yield
        finally:
            self.module.train(training)

    @contextmanager
    def _telling(self, progress: Callable[[float], None] | None) -> Iterator[None]:
        if progress is None or not self.searches:
            yield
            return
        teller = cast("Any", self.module)
        teller.progress = progress
        try:
            yield
        finally:
            teller.progress = None


class GuardedLoss:
    """An encoder loss as a backbone calls it in its steps: blamed on its own plugin, not on that.

    It may not write into the trip either, which other losses read.
    """

    def __init__(self, entry: Entry, loss: EncoderLoss) -> None:
        self.entry = entry
        self.loss = loss

    def __call__(self, trip: RoundTrip) -> torch.Tensor:
        """Return the loss of a trip, a scalar."""
        doing, at = "computing an encoder loss", self.loss
        unwritten = Unwritten(fields_of(trip))
        with blame(self.entry, doing):
            value = self.loss(trip)
        unwritten.check(self.entry, doing, at)
        if not isinstance(value, torch.Tensor) or value.ndim:
            got = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise PluginFault(
                f"{who(self.entry)} returned {got}, expected a scalar tensor, while {doing} "
                f"({place_of(at)})"
            )
        return value


def fields_of(trip: RoundTrip) -> dict[str, torch.Tensor]:
    """Return the filled fields of a trip by name."""
    return {name: value for name in trip.filled() if (value := trip.get(name)) is not None}


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute in float32 as it is, without gradients, whatever training had set."""
    with torch.no_grad(), tf32(False), autocast(device, False):
        yield


def _plain(value: torch.Tensor) -> torch.Tensor:
    """Return a field as scores may expect it; whole numbers stay what they are."""
    return (value.float() if value.is_floating_point() else value).contiguous()


def build_backbone(
    recipe: Recipe, spec: ImageSpec, device: torch.device, *, restored: bool = False
) -> GuardedBackbone:
    """Build the recipe's backbone with weights drawn from its seed, the same on every device.

    ``restored``: weights of a finished run will be read into it, so it need not find its own.
    """
    part = recipe.backbone
    changes = part.entry.component.restored if restored else {}
    options = part.options.model_copy(update=dict(changes))
    losses = build_losses(recipe, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.seed, "weights"))
        with guarded(part.entry, "being built", draws="left", generators=False):
            module = part.entry.component.load()(options, spec, losses)
    if not isinstance(module, nn.Module) or not isinstance(module, Backbone):
        raise PluginError(
            f"backbone {part.entry.qualified!r} built a {type(module).__name__}; expected a "
            "torch.nn.Module with phases() and round_trip()"
        )
    return GuardedBackbone(part, module.to(device).eval(), losses)


def load_backbone(
    recipe: Recipe, spec: ImageSpec, device: torch.device, weights: Path
) -> GuardedBackbone:
    """Build the backbone of a finished run and read its weights.

    Raises
    ------
    CheckpointError
        Where the file is damaged or does not fit.
    """
    backbone = build_backbone(recipe, spec, device, restored=True)
    load_module(backbone.module, weights)
    return backbone


def build_losses(recipe: Recipe, device: torch.device) -> tuple[WeightedLoss, ...]:
    """Build the recipe's encoder losses; one that is a module is put on the device."""
    found = []
    for part in recipe.encoder_losses:
        component = part.entry.component
        with guarded(part.entry, "being built", draws="restored"):
            loss = component.load()(part.options)
        if isinstance(loss, nn.Module):
            loss = loss.to(device)
        needs = resolve_fields(component.needs, part.options)
        found.append(
            WeightedLoss(
                component.name,
                part.weight,
                GuardedLoss(part.entry, loss),
                needs,
                component.trip_from or "image",
            )
        )
    return tuple(found)
