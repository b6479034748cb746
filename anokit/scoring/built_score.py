"""One score of a recipe, built, called with the checks that the core owes its plugins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from anokit.data.sets import ImageTable, Rows
from anokit.errors import AnokitError
from anokit.plugin import resolve_fields
from anokit.recipe.parts import Term
from anokit.registry.blame import PluginFault, blame, place_of, who
from anokit.registry.guard import Unwritten, guarded
from anokit.scoring.trips import Trips
from anokit.store.fitted_files import FittedFiles, name_for
from anokit.store.tensors import empty_buffers, load_module, save_tensors
from anokit.training.backbone import exact_arithmetic, fields_of
from anokit.types import FittedScore, MappedScore, RoundTrip, Score


@dataclass(frozen=True)
class BuiltScore:
    """One component of kind ``score``, built; several scores of a recipe may share it."""

    part: Term
    score: Score
    needs: frozenset[str]
    map_needs: frozenset[str]
    learned: frozenset[str] = frozenset()
    """names of buffers that fitting gives their shapes, which may differ from fit to fit"""

    @property
    def fitted(self) -> bool:
        """Return whether it learns from the training set."""
        return callable(getattr(self.score, "fit", None))

    @property
    def batch_dependence(self) -> str:
        """Return how the score depends on its batch, as published; empty as it should be."""
        return str(getattr(self.score, "batch_dependence", None) or "")

    @property
    def leaves_one_out(self) -> bool:
        """Return whether it can score images that it was fitted on as if they had been left out."""
        return callable(getattr(self.score, "leave_one_out", None))

    @property
    def has_map(self) -> bool:
        """Return whether it makes per-pixel maps."""
        return callable(getattr(self.score, "map", None))

    @property
    def max_fit_images(self) -> int | None:
        """Return the most training images that it is fitted on; None where it takes all."""
        most = getattr(self.score, "max_fit_images", None)
        return None if most is None else int(most)

    def warnings(self) -> list[str]:
        """Return what the score says about its own fit, a sentence each; most say nothing."""
        notice = getattr(self.score, "warnings", None)
        if not self.fitted or notice is None:
            return []
        with failing(self.part), guarded(self.part.entry, "being asked for warnings", at=notice):
            return [str(text) for text in notice()]

    @property
    def refits(self) -> bool:
        """Return whether it can be fitted to a part of the images with its choices kept."""
        return callable(getattr(self.score, "refit", None))

    def fit(self, trips: Trips, *, again: bool = False) -> None:
        """Let the score learn from trips of training images; ``again`` keeps what it chose."""
        fit = cast("FittedScore", self.score).fit
        if again and self.refits:
            fit = cast("Any", self.score).refit

        @contextmanager
        def lent(trip: RoundTrip) -> Iterator[None]:
            unwritten = Unwritten(fields_of(trip))
            yield
            unwritten.check(self.part.entry, "being fitted", fit)

        trips.lent = lent
        with (
            failing(self.part),
            torch.no_grad(),
            guarded(self.part.entry, "being fitted", at=fit),
        ):
            fit(trips)
        score = self.score
        if isinstance(score, nn.Module) and [*score.buffers(), *score.parameters()]:
            return
        built = "has no buffer" if isinstance(score, nn.Module) else "is no torch.nn.Module"
        raise self._fault(
            f"{who(self.part.entry)} learns by fit and {built}, so what it learned would be lost "
            "with this process; make it a torch.nn.Module and register what it learns as buffers, "
            f"empty in the constructor ({place_of(fit)})"
        )

    def save(self, folder: Path) -> FittedFiles:
        """Write what fitting left, if anything, to a file of its own, and return which that is."""
        if not (self.fitted and isinstance(self.score, nn.Module)):
            return FittedFiles(folder)
        state = self.score.state_dict()
        name = name_for(self.stem, state)
        save_tensors(folder / name, state)
        return FittedFiles(folder, {self.stem: name})

    def load(self, files: FittedFiles) -> None:
        """Read what `save` wrote; raise `CheckpointError` where it is missing or damaged."""
        if self.fitted and isinstance(self.score, nn.Module):
            load_module(self.score, files.path(self.stem), self.learned)

    @property
    def stem(self) -> str:
        """Return what the names of its files begin with: two uses with equal options share it."""
        digest = hashlib.sha256(self.part.key.encode()).hexdigest()[:8]
        return f"{self.part.entry.component.name}-{digest}"

    def compute(self, trip: RoundTrip, places: npt.NDArray[np.int64] | None = None) -> Tensor:
        """Return the scores ``[B]`` of a trip, checked.

        ``places`` tells where its images are among those fitted on, −1 for elsewhere: these are
        scored as if they had been left out.
        """
        count = batch_of(trip)
        device = trip.image.device
        if places is None or (places < 0).any():
            value = self._called(self.score, "scoring images", trip, (count,))
        else:
            value = torch.empty(count, device=device)
        if places is not None and (known := np.flatnonzero(places >= 0)).size:
            chosen = torch.from_numpy(known).to(device)
            part = trip if len(known) == count else trip.map(lambda field: field[chosen])
            at = torch.from_numpy(places[known]).to(device)
            leave_one_out = cast("Any", self.score).leave_one_out
            value[chosen] = self._called(
                lambda trip: leave_one_out(trip, at),
                "scoring images",
                part,
                (len(known),),
                at=leave_one_out,
            )
        return value

    def compute_map(self, trip: RoundTrip) -> Tensor:
        """Return the maps ``[B, H, W]`` of a trip, checked."""
        make = cast("MappedScore", self.score).map
        shape = (batch_of(trip), *trip.image.shape[-2:])
        return self._called(make, "drawing a map", trip, shape)

    @contextmanager
    def naming(self, images: ImageTable, rows: Rows, trip: RoundTrip) -> Iterator[None]:
        """Add to a fault the name of the image that it is about, where it is one of ``rows``."""
        try:
            yield
        except PluginFault as fault:
            place = fault.place
            if place is None and fault.__cause__ is not None:
                place = self._alone(trip)
            if place is None or images.names is None:
                raise
            with failing(self.part):
                raise fault.adding(f"; image {images.names[rows[place]]}") from fault.__cause__

    def _alone(self, trip: RoundTrip) -> int | None:
        """Return the first image of a trip that the score fails for alone, None if there is none.

        Where it fails for all of them, none is to blame.
        """
        failing = []
        for place in range(batch_of(trip)):
            one = trip.map(itemgetter(slice(place, place + 1)))
            try:
                with torch.no_grad(), blame(self.part.entry, "scoring images"):
                    self.score(one)
            except AnokitError:
                failing.append(place)
        return failing[0] if 0 < len(failing) < max(batch_of(trip), 2) else None

    def _fault(self, text: str, place: int | None = None) -> PluginFault:
        fault = PluginFault(text, place)
        fault.score_key = self.part.key
        return fault

    def _called(
        self,
        call: Callable[[RoundTrip], Any],
        doing: str,
        trip: RoundTrip,
        shape: tuple[int, ...],
        *,
        at: Any = None,
    ) -> Tensor:
        """Return what a call on a trip gives, with all that the core promises of it checked."""
        entry, at = self.part.entry, at or call
        with (
            failing(self.part),
            _hinting(trip),
            exact_arithmetic(trip.image.device),
            guarded(entry, doing, fields_of(trip), at=at),
        ):
            value = call(trip)
        where = place_of(at)
        if not isinstance(value, Tensor) or tuple(value.shape) != shape:
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise self._fault(
                f"{who(entry)} returned {got}, expected a tensor {list(shape)}, while {doing} "
                f"({where})"
            )
        bad = ~torch.isfinite(value)
        if not bad.any():
            return value.detach().float()
        count, first = int(bad.sum()), int(bad.reshape(len(bad), -1).any(dim=1).int().argmax())
        blamed = next((name for name in sorted(trip.filled()) if not _finite(trip, name)), None)
        if blamed is not None:
            raise AnokitError(
                f"score {entry.qualified!r} is not finite for {count} of {value.numel()} values, "
                f"and neither is {blamed}, which it reads; the model may have diverged: look at "
                "the training curves and the samples"
            )
        raise self._fault(
            f"{who(entry)} is not finite for {count} of {value.numel()} values of trips that are "
            f"finite themselves, while {doing} ({where}); this is a fault of the plugin, not of "
            "the model",
            first,
        )


@contextmanager
def _hinting(trip: RoundTrip) -> Iterator[None]:
    """Add to a fault that may come of a field which was not asked for what there was."""
    try:
        yield
    except PluginFault as fault:
        if "NoneType" not in str(fault.__cause__):
            raise
        filled = ", ".join(sorted(trip.filled()))
        hint = f"; of its trip {filled} were filled, the rest is None unless needs names it"
        raise fault.adding(hint) from fault.__cause__


@contextmanager
def failing(part: Term) -> Iterator[None]:
    """Note in an error of one score's code whose it is, for `failed_score`."""
    try:
        yield
    except AnokitError as error:
        if error.score_key is None:
            error.score_key = part.key
        raise


def failed_score(error: AnokitError) -> str:
    """Return the key of the score whose code an error comes from; empty where it is no score's."""
    return error.score_key or ""


def build_score(part: Term, device: torch.device) -> BuiltScore:
    """Build one score; one that is a module is put on the device."""
    component = part.entry.component
    with failing(part), guarded(part.entry, "being built", draws="restored"):
        score = component.load()(part.options)
    if isinstance(score, nn.Module):
        score = score.to(device)
    return BuiltScore(
        part,
        cast("Score", score),
        resolve_fields(component.needs, part.options),
        resolve_fields(component.map_needs, part.options),
        empty_buffers(score) if isinstance(score, nn.Module) else frozenset(),
    )


def _finite(trip: RoundTrip, name: str) -> bool:
    value = trip.get(name)
    return value is None or bool(torch.isfinite(value).all())


def batch_of(trip: RoundTrip) -> int:
    """Return B of a trip."""
    first = next(value for name in sorted(trip.filled()) if (value := trip.get(name)) is not None)
    return len(first)
