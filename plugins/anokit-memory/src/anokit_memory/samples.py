"""What the conformance checks test with: ordinary trips, and anomalies that must score higher."""

from __future__ import annotations

from dataclasses import replace

from anokit.testing import random_trip
from anokit.types import RoundTrip


def planted() -> tuple[RoundTrip, RoundTrip]:
    """Return ordinary trips about one direction, with bright images, and dark ones elsewhere."""
    return about(random_trip(60), 1), about(random_trip(6, seed=3), -1)


def about(trip: RoundTrip, side: int) -> RoundTrip:
    """Return a trip whose images, features and patches lie to one side, so far by any metric."""
    image = 0.2 * trip.image + 0.5 * side
    return replace(
        trip, image=image, features=trip.features + 5 * side, patches=trip.patches + 5 * side
    )


SAMPLES = dict.fromkeys(
    (
        "knn",
        "mahalanobis",
        "padim",
        "pixel-knn",
        "sparse-knn",
        "reach-knn",
        "trimmed-knn",
        "patch-knn",
        "mutual",
    ),
    planted,
)
