"""How sure the network is of what was done to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip


class TransformationSoftmax:
    """−mean over t of p(t | T_t(x)), in [−1, 0]. Golan, El-Yaniv (2018), section 4.2."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return ``[B]`` from log probabilities ``[B, T, T]``."""
        right = trip.extra["transformations"].diagonal(dim1=1, dim2=2)
        return -right.exp().mean(dim=1)
