"""Round trips of which only the fields asked for are computed, each at most once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from anokit.types import RoundTrip

if TYPE_CHECKING:
    from torch import Tensor

Source = tuple["Callable[[Tensor], Tensor]", str]
"""How a field is computed, and from which other one."""


def fill(known: dict[str, Tensor], sources: dict[str, Source], needs: frozenset[str]) -> RoundTrip:
    """Return a trip with the fields in ``needs``, computed from ``known`` by their sources."""

    def value(name: str) -> Tensor:
        if name not in known:
            compute, source = sources[name]
            known[name] = compute(value(source))
        return known[name]

    # float32 whatever the arithmetic: losses and scores compare these fields.
    return RoundTrip(**{name: value(name).float() for name in sorted(needs)}, extra={})


def opinions(
    features: Callable[[Tensor], Tensor], judge: Callable[[Tensor], Tensor]
) -> dict[str, Source]:
    """Return the sources of a discriminator's fields; features and critic share a pass.

    ``features`` maps ``[B, C, H, W] -> [B, F]``, ``judge`` those on to ``[B]``.
    """
    return {
        "features": (features, "image"),
        "features_hat": (features, "image_hat"),
        "critic": (judge, "features"),
        "critic_hat": (judge, "features_hat"),
    }
