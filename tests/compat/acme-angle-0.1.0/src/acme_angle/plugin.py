"""What this package offers to anokit. It imports no torch, so that every command stays fast."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from anokit import Component, Options, hookimpl


class AngleOptions(Options):
    """Options of ``angle``."""

    k: int = Field(default=5, ge=1, description="Nearest training codes that count, ≥ 1.")


@hookimpl
def anokit_scores() -> Iterable[Component]:
    """Offer the score."""
    yield Component(
        name="angle",
        summary="Angle of ẑ to its nearest training codes, in units of what is usual there",
        factory="acme_angle.angle:Angle",
        options=AngleOptions,
        example={"k": 2},
        needs=frozenset({"latent"}),
    )
