"""Averaged networks, and the batch norm that belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from anokit.nn import ExponentialMovingAverage

if TYPE_CHECKING:
    from collections.abc import Iterable

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def average_of(network: nn.Module, decay: float) -> ExponentialMovingAverage:
    """Return an average of a network's weights that will be calibrated once training is over.

    Running statistics follow those of ``network`` until then: they are of other weights than the
    averaged ones. In training mode the average's norms count every batch alike, instead of
    forgetting the earlier ones.
    """
    average = ExponentialMovingAverage(network, decay)
    for layer in _norms(average):
        layer.momentum = None
    return average


def forget_statistics(averages: Iterable[nn.Module]) -> None:
    """Begin the running statistics of averaged networks anew."""
    for average in averages:
        for layer in _norms(average):
            layer.reset_running_stats()


def _norms(network: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, NORMS)]
