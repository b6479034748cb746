"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

from dataclasses import replace

from anokit.testing import random_trip
from anokit.types import RoundTrip


def unlikely_images() -> tuple[RoundTrip, RoundTrip]:
    """Return ordinary trips, and trips that cost more to describe and to mend."""
    ordinary, odd = random_trip(20), random_trip(6, seed=3)
    cheap = {name: odd.critic.square() for name in ("reconstruction_error", "kl_divergence")}
    dear = {name: value + 9 for name, value in cheap.items()}
    usual = {name: ordinary.critic.square() for name in cheap}
    return replace(ordinary, extra=usual), replace(odd, extra=dear)


def long_codes() -> tuple[RoundTrip, RoundTrip]:
    """Return ordinary trips, and trips with codes five times as long."""
    odd = random_trip(6, seed=3)
    return random_trip(20), replace(odd, latent=5 * odd.latent)


SAMPLES = {"elbo": unlikely_images, "latent-likelihood": long_codes}
