"""Latent outlier exposure: what looks anomalous in a batch counts as an anomaly, wholly or half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from anokit.types.models import mean_of_losses

WEIGHTS = {"exposure-hard": 1.0, "exposure-soft": 0.5}
"""How much of a suspect's loss is the one of an anomaly, by strategy."""


@dataclass(frozen=True)
class Exposure:
    """A `Batch.average` in which a share of the batch counts with the loss of an anomaly.

    With normal losses Lₙ and opposite losses Lₐ of each image, the suspects are the ``share`` of
    the batch with the largest Lₙ − Lₐ, and the result is the mean over images of
    (1 − y) Lₙ + y Lₐ, where y is ``weight`` for suspects and 0 for all others.

    Source: Qiu et al., Latent Outlier Exposure for Anomaly Detection with Contaminated Data (ICML
    2022), where y is 1 (hard) or ½ (soft).
    """

    share: float
    weight: float
    begin: float = 0
    """training images that are shown before it begins"""

    def average(self, shown: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what averages the losses of a batch after ``shown`` training images."""
        return self if shown >= self.begin else mean_of_losses

    def suspects(self, batch_size: int) -> int:
        """Return how many images of a batch are suspected."""
        return round(self.share * batch_size)

    def __call__(self, losses: Tensor, opposite: Tensor) -> Tensor:
        """Return the weighed mean of losses ``[B]`` as a scalar."""
        gap = (losses - opposite).detach()
        suspects = gap.topk(self.suspects(len(losses))).indices
        blame = losses.new_zeros(len(losses)).index_fill_(0, suspects, self.weight)
        return ((1 - blame) * losses + blame * opposite).mean()
