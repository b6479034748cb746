"""How likely the network's answers are among its answers to training images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from anokit.errors import DataError
from anokit.nn import to_double
from anokit_geom.dirichlet_fit import fit_dirichlets, shift_of_fit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anokit.types import RoundTrip
    from anokit_geom.plugin import DirichletOptions

LEAST_LOG = math.log(1e-12)
"""Logarithm of the least probability that counts."""

LEAST_ALPHA = 1e-9
"""Of a fit without one image: the first-order step may overshoot."""


class TransformationDirichlet(nn.Module):
    """−mean over t of Σ_j (α_tj − 1)·log p(j | T_t(x)), p at least 1e-12.

    α_t is the Dirichlet most likely to have made what the network answers to the training images
    under transformation t (see `fit_dirichlets`). Its normalising constant is left out, as
    published: it is the same for all images.

    Source: Golan, El-Yaniv, "Deep anomaly detection using geometric transformations" (2018), 4.3.
    """

    alpha: Tensor
    """``[T, T]`` float32"""
    mean_log: Tensor
    """``[T, T]`` float32: mean log p over the images fitted on"""
    count: Tensor
    """``[1]`` int64: how many these were"""

    def __init__(self, options: DirichletOptions) -> None:
        super().__init__()
        self.max_fit_images = options.max_fit_images
        self.register_buffer("alpha", torch.empty(0))
        self.register_buffer("mean_log", torch.empty(0))
        self.register_buffer("count", torch.empty(0, dtype=torch.int64))

    def fit(self, trips: Iterable[RoundTrip]) -> None:
        """Learn from all training images; only sums over them are kept.

        Raises
        ------
        DataError
            Where there are fewer than two.
        """
        count = 0
        total, total_log = torch.zeros(()), torch.zeros(())
        for trip in trips:
            logs = _read(trip)
            count += len(logs)
            total = total + logs.exp().sum(dim=0)
            total_log = total_log + logs.sum(dim=0)
        if count < 2:
            raise DataError(
                f"score 'geom-dirichlet' is fitted to training images: expected at least 2, got "
                f"{count}"
            )
        device = total.device
        self.alpha = fit_dirichlets(total / count, total_log / count).float()
        self.mean_log = (total_log / count).float()
        self.count = torch.tensor([count], device=device)

    def forward(self, trip: RoundTrip) -> Tensor:
        """Return ``[B]`` from log probabilities ``[B, T, T]``."""
        logs = _read(trip)
        return _unlikelihood(self.alpha.to(logs), logs)

    def leave_one_out(self, trip: RoundTrip, places: Tensor) -> Tensor:
        """Return scores of fitted images, each by the fit without it, to first order in 1/N."""
        logs = _read(trip)
        alpha = self.alpha.to(logs)
        change = (self.mean_log.to(logs) - logs) / (int(self.count) - 1)
        without = alpha + shift_of_fit(alpha, change)
        return _unlikelihood(without.clamp(min=LEAST_ALPHA), logs)


def _read(trip: RoundTrip) -> Tensor:
    """Return log p ``[B, T, T]`` in float64, so that the order of sums does not show."""
    return to_double(trip.extra["transformations"]).clamp(min=LEAST_LOG)


def _unlikelihood(alpha: Tensor, logs: Tensor) -> Tensor:
    return -((alpha - 1) * logs).sum(dim=2).mean(dim=1).float()
