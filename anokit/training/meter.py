"""Means of what training steps return."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Meter:
    """Means of step metrics, kept on the device and read rarely: reading waits for the device.

    What was added since the last reading is part of a checkpoint, so that a resumed run logs the
    same means as one that was not interrupted.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add one step."""
        for name, value in metrics.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """Return the means since the last reading and forget them."""
        names = list(self.sums)
        values = torch.stack([self.sums[n] for n in names]).tolist() if names else []
        means = {n: v / self.counts[n] for n, v in zip(names, values, strict=True)}
        self.sums, self.counts = {}, {}
        return means

    def restore(
        self, sums: Mapping[str, Tensor], counts: Mapping[str, int], device: torch.device
    ) -> None:
        """Go on from sums and counts that were kept, in the order of the counts."""
        self.sums = {name: sums[name].to(device) for name in counts}
        self.counts = dict(counts)
