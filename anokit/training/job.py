"""What the parts of one run are: handed on whole, from loading the data to the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch

from anokit.data.sets import Rows, RunData
from anokit.recipe.parts import Recipe
from anokit.store.run_directory import RunDirectory
from anokit.training.backbone import GuardedBackbone
from anokit.training.memory import TripMemory
from anokit.training.processes import World
from anokit.training.signals import StopRequest
from anokit.watching import Watcher


@dataclass(frozen=True)
class Job:
    """One recipe at work: on its data, with its backbone, in its directory."""

    recipe: Recipe
    data: RunData
    backbone: GuardedBackbone
    directory: RunDirectory
    device: torch.device
    watcher: Watcher = field(default_factory=Watcher)
    stop: StopRequest = field(default_factory=StopRequest)
    world: World = field(default_factory=World)

    @cached_property
    def memory(self) -> TripMemory | None:
        """Return what remembers trips of the training images, once no weight changes any more.

        That is from the beginning where the backbone is never trained, else after training. None
        where trips depend on their batch.
        """
        return TripMemory.of(self.backbone, len(self.data.train))

    @cached_property
    def held_out(self) -> Rows:
        """Return the training images that no training step is shown: ``[training] validation``."""
        return self.data.train.held_out(self.recipe.training.validation, self.recipe.seed)
