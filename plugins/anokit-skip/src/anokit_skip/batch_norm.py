"""Batch norm at scoring, as it should be and as it was published."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPENDENCE = "batch norm with the statistics of the scored batch, as published"
"""What every line of a result says where scores are made so."""


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Let the batch norms of ``network`` use the statistics of each batch, and keep their own.

    The released code of GANomaly and Skip-GANomaly scores without switching to evaluation mode, so
    that the score of an image depends on the other images of its batch.
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
