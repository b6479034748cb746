"""What the scores share: reading a round trip with its shapes checked, and small tensor maths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from anokit.errors import DataError, PluginError
from anokit.types import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from anokit.types import RoundTrip


def read(trip: RoundTrip, score: str, *names: str) -> list[Tensor]:
    """Return the named fields of a round trip as float32, their shapes checked.

    Every field must have its layout, all fields the same B, and a ``_hat`` field the shape of the
    field that it belongs to where both are read.

    Raises
    ------
    PluginError
        Where a field is unfilled or of another shape: the backbone does not keep its contract.
    """
    found: dict[str, Tensor] = {}
    for name in names:
        layout = layout_of(name)
        value = trip.get(name)
        if value is None:
            raise PluginError(
                f"score '{score}' reads {name} {layout}, which the backbone left unfilled: "
                f"got {', '.join(sorted(trip.filled())) or 'an empty round trip'}"
            )
        whole = found.get(name.replace("_hat", ""))
        expected = layout if whole is None else str(list(whole.shape))
        fits = value.ndim == layout.count(",") + 1 if whole is None else value.shape == whole.shape
        if not fits:
            raise PluginError(
                f"score '{score}': {name} expected {expected}, got {list(value.shape)}"
            )
        found[name] = value
    if len({len(value) for value in found.values()}) > 1:
        got = ", ".join(f"{name} {list(value.shape)}" for name, value in found.items())
        raise PluginError(f"score '{score}': expected fields of the same B, got {got}")
    return [value.float() for value in found.values()]


def gather(trips: Iterable[RoundTrip], score: str, name: str) -> Tensor:
    """Return one field of all training images, ``[N, ...]`` float32, in their order.

    Raises
    ------
    DataError
        Where there is no training image.
    """
    parts = [part for trip in trips for part in read(trip, score, name)]
    if not sum(len(part) for part in parts):
        raise DataError(f"score '{score}' is fitted to training images: expected some, got none")
    return torch.cat(parts)


def fitted(state: Tensor, score: str) -> Tensor:
    """Return ``state``, a buffer that fitting fills.

    Raises
    ------
    PluginError
        Where it is still empty: neither ``fit`` was called nor a fitted state loaded.
    """
    if not state.numel():
        raise PluginError(f"score '{score}' is not fitted: call fit(trips) or load its state first")
    return state


def min_max(images: Tensor) -> Tensor:
    """Scale each image ``[B, C, H, W]`` to [0, 1] by its own minimum and maximum over all values.

    An image without contrast becomes zero. Berg et al., equation 3 (w).
    """
    low = images.amin(dim=(1, 2, 3), keepdim=True)
    span = images.amax(dim=(1, 2, 3), keepdim=True) - low
    return (images - low) / torch.where(span > 0, span, torch.ones_like(span))


def norms(difference: Tensor) -> Tensor:
    """Return the Euclidean norm of each item of ``[B, ...]`` as ``[B]``."""
    return torch.linalg.vector_norm(difference.flatten(1), dim=1)


def mean_square(difference: Tensor) -> Tensor:
    """Return the mean of the squares of each item of ``[B, ...]`` as ``[B]``."""
    return difference.square().flatten(1).mean(dim=1)


def channel_mean_abs(difference: Tensor) -> Tensor:
    """Return the mean of |d| over channels: ``[B, C, H, W] -> [B, H, W]``."""
    return difference.abs().mean(dim=1)
