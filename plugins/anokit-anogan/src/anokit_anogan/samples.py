"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

from dataclasses import replace

from anokit.testing import random_trip
from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Return trips whose searches ended near the query, and trips whose searches ended far off."""
    near, far = random_trip(20), random_trip(6, seed=3)
    ends = {"search_loss": near.latent.square()}
    return replace(near, extra=ends), replace(far, extra={"search_loss": far.latent.square() + 9})


SAMPLES = {"adgan": planted}
