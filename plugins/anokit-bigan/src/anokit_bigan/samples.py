"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

from dataclasses import replace

from anokit.testing import random_trip
from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Return reconstructions that the discriminator takes for real, and some that it does not."""
    real, odd = random_trip(20), random_trip(6, seed=3)
    taken = {"logit_hat": real.critic + 5}
    return replace(real, extra=taken), replace(odd, extra={"logit_hat": odd.critic - 5})


SAMPLES = {"critic-cross-entropy": planted}
