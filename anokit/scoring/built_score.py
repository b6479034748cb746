"""One score of a recipe, built, called with the checks that the core owes its plugins."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from anokit.errors import AnokitError, PluginError
from anokit.plugin import resolve_fields
from anokit.recipe.parts import WeightedPart
from anokit.registry.blame import blame
from anokit.scoring.trips import Trips
from anokit.store.tensors import load_module, save_tensors
from anokit.training.backbone import exact_arithmetic
from anokit.types import FittedScore, MappedScore, RoundTrip, Score


@dataclass(frozen=True)
class BuiltScore:
    """One component of kind ``score``, built; several scores of a recipe may share it."""

    part: WeightedPart
    score: Score
    needs: frozenset[str]
    map_needs: frozenset[str]

    @property
    def fitted(self) -> bool:
        """Return whether it learns from the training set."""
        return callable(getattr(self.score, "fit", None))

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
        with blame(self.part.entry, "being asked for warnings"):
            return [str(text) for text in notice()]

    def fit(self, trips: Trips) -> None:
        """Let the score learn from trips of training images."""
        with blame(self.part.entry, "being fitted"), torch.no_grad():
            cast("FittedScore", self.score).fit(trips)

    def save(self, folder: Path) -> None:
        """Write what fitting left, if anything, to a file of its own."""
        if self.fitted and isinstance(self.score, nn.Module):
            save_tensors(folder / self._file, self.score.state_dict())

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; raise `CheckpointError` where it is missing or damaged."""
        if self.fitted and isinstance(self.score, nn.Module):
            load_module(self.score, folder / self._file)

    @property
    def _file(self) -> str:
        digest = hashlib.sha256(self.part.key.encode()).hexdigest()[:8]
        return f"{self.part.entry.component.name}-{digest}.safetensors"

    def compute(self, trip: RoundTrip, places: npt.NDArray[np.int64] | None = None) -> Tensor:
        """Return the scores ``[B]`` of a trip, checked.

        ``places`` tells where its images are among those fitted on, −1 for elsewhere: these are
        scored as if they had been left out.
        """
        count = batch_of(trip)
        with blame(self.part.entry, "scoring images"), exact_arithmetic(trip.image.device):
            if places is None or (places < 0).any():
                value = self._checked(self.score(trip), (count,))
            else:
                value = torch.empty(count, device=trip.image.device)
            if places is not None and (known := np.flatnonzero(places >= 0)).size:
                chosen = torch.from_numpy(known).to(trip.image.device)
                part = trip.map(lambda field: field[chosen])
                at = torch.from_numpy(places[known]).to(trip.image.device)
                left_out = cast("Any", self.score).leave_one_out(part, at)
                value[chosen] = self._checked(left_out, (len(known),))
        return value

    def compute_map(self, trip: RoundTrip) -> Tensor:
        """Return the maps ``[B, H, W]`` of a trip, checked."""
        make = cast("MappedScore", self.score).map
        with blame(self.part.entry, "drawing a map"), exact_arithmetic(trip.image.device):
            value = make(trip)
        return self._checked(value, (batch_of(trip), *trip.image.shape[-2:]))

    def _checked(self, value: Any, shape: tuple[int, ...]) -> Tensor:
        name = self.part.entry.qualified
        if not isinstance(value, Tensor) or tuple(value.shape) != shape:
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise PluginError(f"score {name!r} returned {got}, expected a tensor {list(shape)}")
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise AnokitError(
                f"score {name!r} is not finite for {bad} of {value.numel()} values; the model may "
                "have diverged: look at the training curves and the samples"
            )
        return value.detach().float()


def build_score(part: WeightedPart, device: torch.device) -> BuiltScore:
    """Build one score; one that is a module is put on the device."""
    component = part.entry.component
    with blame(part.entry, "being built"):
        score = component.load()(part.options)
    if isinstance(score, nn.Module):
        score = score.to(device)
    return BuiltScore(
        part,
        cast("Score", score),
        resolve_fields(component.needs, part.options),
        resolve_fields(component.map_needs, part.options),
    )


def batch_of(trip: RoundTrip) -> int:
    """Return B of a trip."""
    first = next(value for name in sorted(trip.filled()) if (value := trip.get(name)) is not None)
    return len(first)
