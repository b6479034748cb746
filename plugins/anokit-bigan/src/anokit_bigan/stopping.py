"""Early stopping without labels, on means over windows of training images."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EarlyStopping(nn.Module):
    """Notes a value per image and says when its mean no longer falls.

    Everything that the answer depends on is a buffer, so that a resumed run ends at the same step.

    Parameters
    ----------
    patience
        Windows in a row without a new lowest mean after which it is enough, ≥ 1.
    every
        Images in a window, ≥ 1; it ends with the batch that fills it.
    """

    total: Tensor
    """``[]``: sum of the values of the present window"""
    count: Tensor
    """``[]`` int64: images in it"""
    windows: Tensor
    """``[]`` int64: windows that are over"""
    lowest: Tensor
    """``[]``: lowest mean of these; 0 before the first one"""
    waited: Tensor
    """``[]`` int64: windows since the lowest"""

    def __init__(self, patience: int, every: int) -> None:
        super().__init__()
        self.patience = patience
        self.every = every
        for name in ("total", "lowest"):
            self.register_buffer(name, torch.zeros(()))
        for name in ("count", "windows", "waited"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))

    def note(self, values: Tensor) -> None:
        """Take the values ``[B]`` of a batch."""
        self.total += values.sum()
        self.count += len(values)
        if int(self.count) < self.every:
            return
        mean = self.total / self.count
        if int(self.windows) == 0 or bool(mean < self.lowest):
            self.lowest.copy_(mean)
            self.waited.zero_()
        else:
            self.waited += 1
        self.windows += 1
        self.total.zero_()
        self.count.zero_()

    def enough(self) -> bool:
        """Return whether to stop."""
        return int(self.waited) >= self.patience
