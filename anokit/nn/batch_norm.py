"""Batch norm with the statistics of the batch at hand, without touching its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["BATCH_NORM_DEPENDENCE", "batch_statistics"]

BATCH_NORM_DEPENDENCE = "batch norm with the statistics of the scored batch, as published"
"""What a backbone that scores inside `batch_statistics` gives as its ``batch_dependence``."""


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Let the batch norms of ``network`` use the statistics of each batch, and keep their own.

    Two uses: to score as released codes do that never switch to evaluation mode, so that the score
    of an image depends on the other images of its batch; and to train one network through another,
    whose running statistics are not meant to follow.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    before = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, (training, tracking) in zip(layers, before, strict=True):
            layer.training, layer.track_running_stats = training, tracking
