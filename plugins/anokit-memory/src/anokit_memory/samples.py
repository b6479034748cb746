"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

from dataclasses import replace

from anokit.testing import random_trip
from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Return ordinary trips with bright images, and trips with dark ones that lie far off."""
    plain, odd = random_trip(60), random_trip(6, seed=3)
    far = replace(
        odd, image=0.2 * odd.image - 0.5, features=odd.features + 5, patches=odd.patches + 5
    )
    return replace(plain, image=0.2 * plain.image + 0.5), far


SAMPLES = dict.fromkeys(
    (
        "knn",
        "mahalanobis",
        "padim",
        "pixel-knn",
        "sparse-knn",
        "trimmed-knn",
        "patch-knn",
        "mutual",
    ),
    planted,
)
