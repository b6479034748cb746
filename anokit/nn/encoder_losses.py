"""The weighted sum of a recipe's encoder losses, for backbones that train an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from anokit.types import RoundTrip, WeightedLoss

__all__ = ["needs_of_losses", "weighted_losses"]

STARTS = ("latent", "image")
"""Where trips start, in the order in which their losses are added up."""


def needs_of_losses(losses: Iterable[WeightedLoss], start: str) -> frozenset[str]:
    """Return the fields that losses of trips from ``start`` (``latent`` or ``image``) read.

    Examples
    --------
    >>> from anokit import WeightedLoss
    >>> from anokit.nn import needs_of_losses
    >>> mean = lambda trip: trip.latent.mean()
    >>> loss = WeightedLoss("mean", 1.0, mean, frozenset({"latent"}), "image")
    >>> needs_of_losses([loss], "image"), needs_of_losses([loss], "latent")
    (frozenset({'latent'}), frozenset())
    """
    return frozenset[str]().union(*(loss.needs for loss in losses if loss.trip_from == start))


def weighted_losses(
    losses: Iterable[WeightedLoss], trips: Mapping[str, RoundTrip]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return Σ w·loss, and each loss without its weight by name (Berg et al., equation 1).

    Parameters
    ----------
    losses
        What trains the encoder, at least one.
    trips
        By where they start: the trips that the losses read, filled as `needs_of_losses` says.

    Raises
    ------
    ValueError
        Where there is no loss.

    Examples
    --------
    >>> import torch
    >>> from anokit import RoundTrip, WeightedLoss
    >>> from anokit.nn import weighted_losses
    >>> mean = lambda trip: trip.latent.mean()
    >>> loss = WeightedLoss("mean", 0.5, mean, frozenset({"latent"}), "image")
    >>> weighted_losses([loss], {"image": RoundTrip(latent=torch.full((2, 4), 6.0))})
    (tensor(3.), {'mean': tensor(6.)})
    """
    chosen = list(losses)
    metrics: dict[str, Tensor] = {}
    total: Tensor | None = None
    for start in STARTS:
        for entry in (loss for loss in chosen if loss.trip_from == start):
            metrics[entry.name] = entry.loss(trips[start])
            term = entry.weight * metrics[entry.name]
            total = term if total is None else total + term
    if total is None:
        raise ValueError("a weighted sum of encoder losses: expected at least one loss, got none")
    return total, metrics
