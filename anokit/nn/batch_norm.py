"""Batch norm with the statistics of the batch at hand, without touching its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

__all__ = ["batch_norm_dependence", "batch_statistics"]


def batch_norm_dependence(statistics: Literal["eval", "batch"]) -> str:
    """Return the ``batch_dependence`` of a backbone that scores with these statistics.

    ``batch`` stands for scoring inside `batch_statistics`, ``eval`` for running statistics, which
    make no score depend on its batch.

    Examples
    --------
    >>> from anokit.nn import batch_norm_dependence
    >>> batch_norm_dependence("batch")
    'batch norm with the statistics of the scored batch, as published'
    """
    if statistics == "eval":
        return ""
    return "batch norm with the statistics of the scored batch, as published"


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Let the batch norms of ``network`` use the statistics of each batch, and keep their own.

    Two uses: to score as released codes do that never switch to evaluation mode, so that the score
    of an image depends on the other images of its batch; and to train one network through another,
    whose running statistics are not meant to follow.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import batch_statistics
    >>> network = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).eval()
    >>> images = 5 + torch.rand(4, 3, 8, 8)
    >>> with batch_statistics(network):
    ...     inside = network(images).mean()
    >>> bool(inside.abs() < 1e-5), bool(network(images).mean() > 4)
    (True, True)
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
