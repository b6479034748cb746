"""How long the phases of a training are."""

from __future__ import annotations

import math

from anokit.errors import TrainingError
from anokit.types import Phase


def steps_of(phase: Phase, train_images: int, max_steps: int | None) -> int:
    """Return the number of steps of a phase.

    Raises
    ------
    TrainingError
        Where the phase states neither or both of images and epochs.
    """
    if phase.images is not None and phase.epochs is None:
        images: float = phase.images
    elif phase.epochs is not None and phase.images is None:
        images = phase.epochs * train_images
    else:
        raise TrainingError(f"phase {phase.name!r} must state either images or epochs")
    steps = math.ceil(images / phase.batch_size)
    return steps if max_steps is None else min(steps, max_steps)
