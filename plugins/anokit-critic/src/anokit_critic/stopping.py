"""End training once an error has become small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class StopBelow(nn.Module):
    """Says that it is enough once the mean of an error over a window of steps is below a limit.

    Windows follow one another: the mean is looked at after every ``window`` steps, so that the
    device is waited for just then.

    Parameters
    ----------
    limit
        ρ, > 0.
    window
        Steps that are averaged over, ≥ 1.
    """

    total: Tensor
    """``[]``: sum of the errors in this window so far; a buffer, so that a resumed run knows"""
    reached: Tensor
    """``[]`` bool: whether the last whole window was below the limit"""

    def __init__(self, limit: float, window: int) -> None:
        super().__init__()
        self.limit = limit
        self.window = window
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("reached", torch.tensor(False))
        self._may_be_over = True  # a resumed run looks, and so does whoever asks first

    def watch(self, error: Tensor, step: int) -> None:
        """Note the error, a detached scalar, of the step that comes after ``step`` others."""
        self.total += error
        self._may_be_over = step % self.window == self.window - 1
        if self._may_be_over:
            self.reached.copy_(self.total < self.limit * self.window)
            self.total.zero_()

    def finished(self) -> bool:
        """Return whether the last window that ended was below the limit."""
        return self._may_be_over and bool(self.reached)
