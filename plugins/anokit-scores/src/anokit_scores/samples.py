"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

from dataclasses import replace

from anokit.testing import random_trip
from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Return ordinary trips, and trips that do not come back, with short latents."""
    odd = random_trip(6, seed=3)
    lost = replace(
        odd,
        image_hat=-odd.image,
        latent=0.1 * odd.latent,
        latent_hat=odd.latent_hat + 3,
        features_hat=odd.features_hat + 3,
        patches_hat=-odd.patches,
        anomaly_map=odd.anomaly_map + 5,
    )
    return random_trip(40), lost


def pale() -> tuple[RoundTrip, RoundTrip]:
    """Return ordinary trips, and trips of images with little contrast."""
    odd = random_trip(6, seed=3)
    return random_trip(40), replace(odd, image=0.3 * odd.image)


SAMPLES = {
    "ln": planted,
    "lo": planted,
    "lr": planted,
    "a": planted,
    "residual": planted,
    "feature-residual": planted,
    "latent-residual": planted,
    "norm-typicality": planted,
    "norm-residual": planted,
    "patch-residual": planted,
    "map-max": planted,
    "map-mean": planted,
    "pixel-contrast": pale,
}
