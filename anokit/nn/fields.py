"""Fields of the round trip as scores read them, and what positions of one become: a map."""

from __future__ import annotations

from typing import Literal, Protocol

from torch import Tensor

from anokit.errors import PluginError
from anokit.nn.resampling import resize_map
from anokit.types import RoundTrip, layout_of

__all__ = ["FieldOptions", "map_of_grid", "read_field"]

Field = Literal["features", "latent", "patches", "image"]


class FieldOptions(Protocol):
    """What `field_score` asks of a score's options; the texts are those of the recipe's keys.

    Examples
    --------
    >>> from anokit.nn import FieldOptions
    >>> from anokit.plugin import FittedOptions
    >>> options: FieldOptions = FittedOptions(on="latent")
    """

    @property
    def on(self) -> Field:
        """Round-trip field that is read."""
        ...

    @property
    def max_fit_images(self) -> int:
        """Most training images that are fitted on."""
        ...

    @property
    def patch_score(self) -> Literal["max", "mean"]:
        """How the positions of an image become its score."""
        ...

    @property
    def max_patches(self) -> int:
        """Most positions of all training images together that are fitted on."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the subset of positions."""
        ...


def read_field(trip: RoundTrip, field: Field, name: str) -> Tensor:
    """Return a field of a trip as float32 for the score ``name``, its layout checked.

    Raises
    ------
    PluginError
        Where it is unfilled or of another layout: the backbone does not keep its contract.

    Examples
    --------
    >>> from anokit.nn import read_field
    >>> from anokit.testing import random_trip
    >>> read_field(random_trip(4), "latent", "mine").shape
    torch.Size([4, 8])
    """
    value, layout = trip.get(field), layout_of(field)
    if value is None:
        raise PluginError(
            f"score '{name}' reads {field} {layout}, which the backbone left unfilled: "
            f"got {', '.join(sorted(trip.filled())) or 'an empty round trip'}"
        )
    if value.ndim != layout.count(",") + 1:
        raise PluginError(f"score '{name}': {field} expected {layout}, got {list(value.shape)}")
    return value.float()


def map_of_grid(grid: Tensor, trip: RoundTrip, name: str) -> Tensor:
    """Return values of positions as a map: ``[B, h, w] -> [B, H, W]``, bilinear.

    ``H`` and ``W`` are those of ``trip.image``; `PluginError` where that is unfilled.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import map_of_grid
    >>> from anokit.testing import random_trip
    >>> map_of_grid(torch.rand(4, 2, 2), random_trip(4), "mine").shape
    torch.Size([4, 16, 16])
    """
    if trip.get("image") is None:
        raise PluginError(f"the map of score '{name}' reads image [B, C, H, W], got none")
    return resize_map(grid, trip.image.shape[-2:])
