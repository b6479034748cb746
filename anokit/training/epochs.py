"""What a backbone is shown when an epoch is over: images that no step sees, and no label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from anokit.data.feed import Feed
from anokit.data.pixels import downscale, to_float
from anokit.data.sets import ImageTable, Rows
from anokit.training.backbone import exact_arithmetic
from anokit.training.job import Job
from anokit.training.meter import Meter
from anokit.types import EpochEnd, Phase


@dataclass(frozen=True)
class StoredBatches:
    """`anokit.types.ImageBatches` of the images at ``rows`` of a table, in that order."""

    images: ImageTable
    rows: Rows
    batch_size: int
    resolution: int | None
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self.rows), self.batch_size):
            images = self.images.read(self.rows[start : start + self.batch_size])
            yield downscale(to_float(images.to(self.device)), self.resolution)


class EpochEnds:
    """Tells a backbone when an epoch of a phase is over, where the phase has `epoch_ended`."""

    def __init__(self, job: Job, feed: Feed) -> None:
        self.job = job
        self.feed = feed

    def tell(self, phase: Phase, step: int, *, last: bool) -> dict[str, float]:
        """Show the backbone the images where an epoch ended within the last step.

        ``step`` counts the steps of the phase so far. Returns the metrics that the backbone gives,
        none where no epoch ended or it wants to see none.
        """
        job, told, meter = self.job, phase.epoch_ended, Meter()
        shown, every = step * phase.batch_size, len(self.feed)
        if told is None or not (last or shown // every > (shown - phase.batch_size) // every):
            return {}
        end = EpochEnd(
            self._batches(self.feed.among, phase), self._batches(job.held_out, phase), last
        )
        backbone = job.backbone
        job.world.synchronise(backbone.module)
        with (
            backbone.evaluating(),
            exact_arithmetic(job.device),
            backbone.guarding("looking at an epoch", told),
        ):
            meter.add(told(end) or {})  # adding shows what is no tensor
        job.world.synchronise(backbone.module)
        return meter.read()

    def _batches(self, rows: Rows, phase: Phase) -> StoredBatches:
        job = self.job
        return StoredBatches(
            job.data.train.images, rows, phase.batch_size, phase.resolution, job.device
        )
