"""What this package offers to anokit. It imports no torch, so that every command stays fast."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from anokit import Component, Options, hookimpl


class LossOptions(Options):
    """Options of ``loss``."""

    power: float = Field(default=1.0, ge=1, description="Power of the residual, ≥ 1.")


@hookimpl
def anokit_encoder_losses() -> Iterable[Component]:
    """Offer the encoder loss."""
    yield Component(
        name="loss",
        summary="Mean residual of the reconstruction, to a power",
        factory="acme_loss.loss:Loss",
        options=LossOptions,
        example={"power": 2.0},
        needs=frozenset({"image", "image_hat"}),
        trip_from="image",
    )
