"""Exponential moving average of a module's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

__all__ = ["ExponentialMovingAverage"]


class ExponentialMovingAverage(nn.Module):
    """A copy of a module whose parameters follow the original's slowly.

    The copy is an ordinary submodule (``module``): it is moved and saved with whatever holds it,
    and its parameters take no gradients. `torch.optim.swa_utils.AveragedModel` does the same job,
    but looks at a counter on the device in every update and so waits for the device each time.

    Parameters
    ----------
    source
        The module to follow.
    decay
        Share of the average that an update keeps, in [0, 1); 0.999 spans about 1,000 updates.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import ExponentialMovingAverage
    >>> network = torch.nn.Linear(1, 1, bias=False)
    >>> average = ExponentialMovingAverage(network, decay=0.75)
    >>> before = network.weight.item()
    >>> with torch.no_grad():
    ...     _ = network.weight.add_(1)
    >>> average.update(network)
    >>> round(average.module.weight.item() - before, 4)
    0.25
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"ExponentialMovingAverage: expected a decay in [0, 1), got {decay}")
        self.module = copy.deepcopy(source).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, source: nn.Module, decay: float | None = None) -> None:
        """Move every parameter by (1 − decay) of its distance to ``source``'s; copy buffers.

        ``decay`` replaces the one from the constructor, for a decay that changes over training.
        """
        own, new = tuple(self.module.parameters()), tuple(source.parameters())
        if own:
            torch._foreach_lerp_(own, new, 1 - (self.decay if decay is None else decay))
        for buffer, value in zip(self.module.buffers(), source.buffers(), strict=True):
            buffer.copy_(value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged module."""
        return self.module(*args, **kwargs)

    def extra_repr(self) -> str:
        """Show the decay when the module is printed."""
        return f"decay={self.decay}"
